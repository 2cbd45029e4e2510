//! A network's parameters: hidden layers of [`WIDTH`] units and an output layer, all in one buffer, with their gradients
//! in another.

use super::kernels::Kernels;
use crate::digits::{CLASSES, PIXELS};
use fastrand::Rng;
use wgpu_batchnorm::{BufferRange, Context, DeviceError, RunningStatistics, RunningValues, wgpu};

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

    pub(super) fn weight(&self, buffer: &wgpu::Buffer) -> BufferRange {
        words(buffer, self.weight, self.inputs * self.outputs)
    }

    pub(super) fn bias(&self, buffer: &wgpu::Buffer) -> BufferRange {
        words(buffer, self.bias, self.outputs)
    }

    /// γ of the batch normalization.
    pub(super) fn scale(&self, buffer: &wgpu::Buffer) -> BufferRange {
        words(buffer, self.scale, self.outputs)
    }

    /// β of the batch normalization.
    pub(super) fn offset(&self, buffer: &wgpu::Buffer) -> BufferRange {
        words(buffer, self.offset, self.outputs)
    }
}

/// So many words of a buffer.
pub(super) fn words(buffer: &wgpu::Buffer, first: usize, count: usize) -> BufferRange {
    let [start, bytes] = [first, count].map(|words| (size_of::<f32>() * words) as u64);
    BufferRange::new(buffer, start..start + bytes)
}

/// A network on the device.
pub(super) struct Network {
    /// Of the hidden layers and, last, the output layer.
    pub(super) layers: Vec<Places>,
    pub(super) parameters: wgpu::Buffer,
    pub(super) gradients: wgpu::Buffer,
    /// Of each hidden layer; none without batch normalization.
    pub(super) running: Vec<RunningStatistics>,
}

impl Network {
    /// A network with weights from a normal distribution of variance 2/inputs (He et al. 2015), offsets 0 and scales
    /// 1. The same seed gives the same weights, with batch normalization and without.
    pub(super) fn new(
        context: &Context,
        kernels: &Kernels,
        depth: usize,
        normalized: bool,
        seed: u64,
    ) -> Result<Self, DeviceError> {
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
        let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let running = || RunningStatistics::upload(context, &RunningValues::start(WIDTH));
        Ok(Self {
            layers,
            parameters: kernels.filled("parameters", &bits, usage),
            gradients: kernels.empty("gradients", next),
            running: (0..if normalized { depth } else { 0 }).map(|_| running()).collect::<Result<_, _>>()?,
        })
    }

    /// The words of its parameters.
    pub(super) fn words(&self) -> usize {
        (self.parameters.size() / size_of::<f32>() as u64) as usize
    }
}

/// A standard normal value, by Box and Muller.
fn normal(rng: &mut Rng) -> f32 {
    // 1 − u is never 0, whose logarithm is infinite.
    (-2.0 * (1.0 - rng.f32()).ln()).sqrt() * (std::f32::consts::TAU * rng.f32()).cos()
}
