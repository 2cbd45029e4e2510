//! A network's parameters: hidden layers of [`WIDTH`] units and an output layer, all in one buffer, with their gradients
//! in another.

use super::TrainError;
use super::memory::Memory;
use crate::digits::{CLASSES, PIXELS};
use fastrand::Rng;
use wgpu_batchnorm::{
    BufferRange, Context, DeviceError, Layout, RunningStatistics, RunningValues, Shape, Tensor, wgpu,
};

/// Units of a hidden layer.
pub const WIDTH: usize = 64;
/// What bindings begin at multiples of, at most, in words.
pub(super) const ALIGNMENT: usize = 64;

/// Where a layer's parameters lie, in words: in the buffer of the gradients too.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    weight: usize,
    bias: usize,
    scale: usize,
    offset: usize,
}

impl Places {
    /// The first word of the weight, and how many there are.
    pub(super) fn weight_words(&self) -> [u32; 2] {
        [self.weight as u32, (self.inputs * self.outputs) as u32]
    }

    pub(super) fn weight(&self, of: &Tensor) -> BufferRange {
        words(&of.range().buffer, self.weight, self.inputs * self.outputs)
    }

    pub(super) fn bias(&self, of: &Tensor) -> BufferRange {
        words(&of.range().buffer, self.bias, self.outputs)
    }

    /// γ of the batch normalization.
    pub(super) fn scale(&self, of: &Tensor) -> BufferRange {
        words(&of.range().buffer, self.scale, self.outputs)
    }

    /// β of the batch normalization.
    pub(super) fn offset(&self, of: &Tensor) -> BufferRange {
        words(&of.range().buffer, self.offset, self.outputs)
    }
}

/// So many words of a buffer.
pub(super) fn words(buffer: &wgpu::Buffer, first: usize, count: usize) -> BufferRange {
    let [start, bytes] = [first, count].map(|words| (size_of::<f32>() * words) as u64);
    BufferRange::new(buffer, start..start + bytes)
}

/// The parameters of a layer, or the gradients of the loss with respect to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerValues {
    /// `[outputs, inputs]`.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
    /// γ of the batch normalization, `[outputs]`; used in hidden layers with batch normalization only.
    pub scale: Vec<f32>,
    /// β of the batch normalization, `[outputs]`; the same.
    pub offset: Vec<f32>,
}

/// A network on the device.
pub(super) struct Network {
    /// Of the hidden layers and, last, the output layer.
    pub(super) layers: Vec<Places>,
    pub(super) parameters: Tensor,
    pub(super) gradients: Tensor,
    /// Of each hidden layer; none without batch normalization.
    pub(super) running: Vec<RunningStatistics>,
    _memory: Memory,
}

impl Network {
    /// A network with weights from a normal distribution of variance 2/inputs (He et al. 2015), offsets 0 and scales
    /// 1. The same seed gives the same weights, with batch normalization and without.
    pub(super) fn new(
        context: &Context,
        depth: usize,
        normalized: bool,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let mut next = 0;
        let mut place = |words: usize| {
            next += words.next_multiple_of(ALIGNMENT);
            next - words.next_multiple_of(ALIGNMENT)
        };
        let layers: Vec<_> = (0..=depth)
            .map(|layer| {
                let inputs = if layer == 0 { PIXELS } else { WIDTH };
                let outputs = if layer == depth { CLASSES } else { WIDTH };
                let weight = place(inputs * outputs);
                Places {
                    inputs,
                    outputs,
                    weight,
                    bias: place(outputs),
                    scale: place(outputs),
                    offset: place(outputs),
                }
            })
            .collect();
        let mut rng = Rng::with_seed(seed);
        let mut values = vec![0.0f32; next];
        for Places { inputs, outputs, weight, scale, .. } in &layers {
            let deviation = (2.0 / *inputs as f32).sqrt();
            let weights = values.iter_mut().skip(*weight).take(inputs * outputs);
            weights.for_each(|value| *value = deviation * normal(&mut rng));
            values.iter_mut().skip(*scale).take(*outputs).for_each(|value| *value = 1.0);
        }
        let memory = Memory::new(context.device());
        let running = || -> Result<_, DeviceError> {
            let running = RunningStatistics::upload(context, &RunningValues::start(WIDTH))?;
            memory.keep(running.ranges());
            Ok(running)
        };
        let running = (0..if normalized { depth } else { 0 }).map(|_| running()).collect::<Result<_, _>>()?;
        let shape = Shape::new(&[1, next], Layout::ChannelsLast)?;
        let (parameters, gradients) =
            (Tensor::upload(context, shape, &values)?, Tensor::zeros(context, shape)?);
        memory.keep([parameters.range(), gradients.range()]);
        Ok(Self { layers, parameters, gradients, running, _memory: memory })
    }

    /// What a tensor of the parameters' size holds of each layer.
    pub(super) async fn values(&self, tensor: &Tensor) -> Result<Vec<LayerValues>, DeviceError> {
        let values = tensor.download().await?;
        let piece = |first: usize, count: usize| values.iter().skip(first).take(count).copied().collect();
        let of = |places: &Places| LayerValues {
            weight: piece(places.weight, places.inputs * places.outputs),
            bias: piece(places.bias, places.outputs),
            scale: piece(places.scale, places.outputs),
            offset: piece(places.offset, places.outputs),
        };
        Ok(self.layers.iter().map(of).collect())
    }
}

/// A standard normal value, by Box and Muller.
fn normal(rng: &mut Rng) -> f32 {
    // 1 − u is never 0, whose logarithm is infinite.
    (-2.0 * (1.0 - rng.f32()).ln()).sqrt() * (std::f32::consts::TAU * rng.f32()).cos()
}
