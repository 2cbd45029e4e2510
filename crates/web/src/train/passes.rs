//! What a step records, bound once for a batch size: forward, loss, backward, update, and what is observed of it.

use super::kernels::{Kernels, Operation};
use super::memory::Memory;
use super::network::{ALIGNMENT, Network, WIDTH, words};
use super::{BINS, RANGE, Settings, TrainError};
use crate::digits::{CLASSES, Digits, PIXELS};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BufferRange, Context, ForwardTensors, Layout, Mode, Options,
    Shape, Tensor, wgpu,
};

/// Rows and columns of the block that an invocation of `linear.wgsl` makes.
const BLOCK: usize = 4;

/// Images on the device, for both networks.
pub(super) struct Batch {
    pub(super) rows: usize,
    pixels: wgpu::Buffer,
    labels: wgpu::Buffer,
}

impl Batch {
    pub(super) fn new(memory: &Memory, rows: usize) -> Self {
        let (pixels, labels) = (memory.empty("pixels", rows * PIXELS), memory.empty("labels", rows));
        Self { rows, pixels, labels }
    }

    /// Replaces the images by as many others.
    pub(super) fn write(&self, queue: &wgpu::Queue, digits: &Digits) {
        queue.write_buffer(&self.pixels, 0, bytemuck::cast_slice(&digits.pixels));
        queue.write_buffer(&self.labels, 0, bytemuck::cast_slice(&digits.labels));
    }
}

/// Where the observations of a network lie in the tensor of all, in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    /// Of each image the loss, and 1 if it was recognized.
    pub(super) results: usize,
    pub(super) rows: usize,
    /// Of the weight gradient of each layer.
    pub(super) norms: usize,
    /// Of the outputs of each hidden layer.
    pub(super) bins: usize,
    pub(super) depth: usize,
    /// The first word after it.
    pub(super) end: usize,
}

impl Observed {
    pub(super) fn new(first: usize, rows: usize, depth: usize) -> Self {
        let norms = first + (2 * rows).next_multiple_of(ALIGNMENT);
        let bins = norms + (depth + 1).next_multiple_of(ALIGNMENT);
        // Each histogram is a binding of its own.
        let end = bins + depth * BINS.next_multiple_of(ALIGNMENT);
        Self { results: first, rows, norms, bins, depth, end }
    }

    /// The first word of a hidden layer's histogram.
    pub(super) fn bins_of(&self, layer: usize) -> usize {
        self.bins + layer * BINS.next_multiple_of(ALIGNMENT)
    }
}

/// Binds the passes of one network on one batch.
pub(super) struct Binder<'a> {
    pub(super) context: &'a Context,
    pub(super) kernels: &'a Kernels,
    pub(super) memory: &'a Memory,
    pub(super) settings: &'a Settings,
    pub(super) network: &'a Network,
    pub(super) batch: &'a Batch,
    pub(super) observations: &'a Tensor,
    pub(super) observed: Observed,
}

/// The tensors of a hidden layer.
struct Hidden {
    /// What the next layer gets.
    y: BufferRange,
    /// The gradient with respect to y, and in its place that with respect to z.
    gradient: BufferRange,
    backward: Option<Operation>,
}

impl Binder<'_> {
    /// A step of training, with a learning rate that may change.
    pub(super) fn training(&self, learning_rate: &wgpu::Buffer) -> Result<Vec<Operation>, TrainError> {
        let mut operations = Vec::new();
        let mut hidden = self.forward(Mode::TRAINING, &mut operations)?;
        let logits_gradient = self.loss(&hidden, &mut operations);

        let kernels = self.kernels;
        let Network { layers, parameters, gradients, .. } = self.network;
        let mut gradient = logits_gradient;
        for (layer, places) in layers.iter().enumerate().rev() {
            let sizes = [self.batch.rows as u32, places.inputs as u32, places.outputs as u32];
            let below = layer.checked_sub(1).and_then(|below| hidden.get_mut(below));
            let x =
                below.as_ref().map_or_else(|| BufferRange::from(&self.batch.pixels), |below| below.y.clone());
            let (dweight, dbias) = (places.weight(gradients), places.bias(gradients));
            let ranges = [(1, &x), (5, &gradient), (7, &dweight), (8, &dbias)];
            let invocations = places.inputs / BLOCK * places.outputs.div_ceil(BLOCK);
            operations.push(self.bind(&kernels.weight_gradient, &sizes, &ranges, invocations));
            if let Some(below) = below {
                let weight = places.weight(parameters);
                let ranges = [(2, &weight), (5, &gradient), (6, &below.gradient)];
                let invocations = self.batch.rows.div_ceil(BLOCK) * (places.inputs / BLOCK);
                operations.push(self.bind(&kernels.input_gradient, &sizes, &ranges, invocations));
                operations.extend(below.backward.take());
                gradient = below.gradient.clone();
            }
        }
        self.observe(&hidden, &mut operations);
        let learning_rate = wgpu::BindGroupEntry { binding: 0, resource: learning_rate.as_entire_binding() };
        let workgroups = (parameters.shape().elements() as u32).div_ceil(64);
        let ranges = [(1, parameters.range()), (2, gradients.range())];
        operations.push(kernels.bind_entries(&kernels.update, Some(learning_rate), &ranges, workgroups));
        Ok(operations)
    }

    /// A kernel with a uniform of its own, see [`Kernels::bind`].
    fn bind(
        &self,
        pipeline: &wgpu::ComputePipeline,
        uniform: &[u32],
        ranges: &[(u32, &BufferRange)],
        invocations: usize,
    ) -> Operation {
        self.kernels.bind(self.memory, pipeline, uniform, ranges, invocations)
    }

    /// What the network makes of the batch in evaluation, with its running statistics.
    pub(super) fn evaluation(&self) -> Result<Vec<Operation>, TrainError> {
        let mut operations = Vec::new();
        let hidden = self.forward(Mode::EVALUATION, &mut operations)?;
        self.loss(&hidden, &mut operations);
        Ok(operations)
    }

    fn forward(&self, mode: Mode, operations: &mut Vec<Operation>) -> Result<Vec<Hidden>, TrainError> {
        let elements = self.batch.rows * WIDTH;
        let full = |label| BufferRange::from(self.memory.empty(label, elements));
        let mut hidden: Vec<Hidden> = Vec::new();
        for layer in 0..self.network.layers.len() - 1 {
            let (z, y, gradient) = (full("z"), full("y"), full("gradient"));
            operations.push(self.linear(layer, &hidden, &z));
            let backward = match self.network.running.get(layer) {
                Some(_) => self.batch_norm(layer, mode, [&z, &y, &gradient], operations)?,
                None => self.activation([&z, &y, &gradient], operations),
            };
            hidden.push(Hidden { y, gradient, backward: Some(backward).filter(|_| mode == Mode::TRAINING) });
        }
        Ok(hidden)
    }

    /// The linear layer of this number, from what is below it to `y`.
    fn linear(&self, layer: usize, hidden: &[Hidden], y: &BufferRange) -> Operation {
        let places = &self.network.layers[layer];
        let parameters = &self.network.parameters;
        let x = hidden.last().map_or_else(|| BufferRange::from(&self.batch.pixels), |below| below.y.clone());
        let (weight, bias) = (places.weight(parameters), places.bias(parameters));
        let sizes = [self.batch.rows as u32, places.inputs as u32, places.outputs as u32];
        let ranges = [(1, &x), (2, &weight), (3, &bias), (4, y)];
        let invocations = self.batch.rows.div_ceil(BLOCK) * places.outputs.div_ceil(BLOCK);
        self.bind(&self.kernels.linear, &sizes, &ranges, invocations)
    }

    /// Adds the library's forward pass with its fused activation, and returns its backward pass.
    fn batch_norm(
        &self,
        layer: usize,
        mode: Mode,
        [z, y, gradient]: [&BufferRange; 3],
        operations: &mut Vec<Operation>,
    ) -> Result<Operation, TrainError> {
        let Network { layers, parameters, gradients, running, .. } = self.network;
        let places = &layers[layer];
        let options = Options {
            activation: self.settings.activation.fused(),
            order: self.settings.arrangement.order(),
            ..Options::new(WIDTH)
        };
        let batch_norm = BatchNorm::new(self.context, options)?;
        let shape = Shape::new(&[self.batch.rows, WIDTH], Layout::ChannelsLast)?;
        let saved = batch_norm.saved_statistics(&shape)?;
        self.memory.keep([saved.range()]);
        let forward = ForwardTensors {
            weight: Some(places.scale(parameters)),
            bias: Some(places.offset(parameters)),
            running: running.get(layer),
            ..ForwardTensors::new(z.clone(), y.clone(), &saved)
        };
        let forward = batch_norm.bind_forward(&shape, mode, &forward)?;
        operations.push(Operation::BatchNorm(Box::new(forward)));
        let backward = BackwardTensors {
            dx: Some(gradient.clone()),
            dweight: Some((places.scale(gradients), Accumulation::Replace)),
            dbias: Some((places.offset(gradients), Accumulation::Replace)),
            ..BackwardTensors::new(z.clone(), gradient.clone(), &saved)
        };
        Ok(Operation::BatchNorm(Box::new(batch_norm.bind_backward(&shape, mode, &backward)?)))
    }

    /// Adds the activation alone, and returns its backward pass.
    fn activation(&self, [z, y, gradient]: [&BufferRange; 3], operations: &mut Vec<Operation>) -> Operation {
        let elements = self.batch.rows * WIDTH;
        let settings = [elements as u32, self.settings.activation as u32];
        let kernels = self.kernels;
        operations.push(self.bind(&kernels.activation, &settings, &[(1, z), (2, y)], elements));
        self.bind(&kernels.activation_gradient, &settings, &[(1, z), (3, gradient)], elements)
    }

    /// Adds the output layer and the loss, and returns the gradient of the former's output.
    fn loss(&self, hidden: &[Hidden], operations: &mut Vec<Operation>) -> BufferRange {
        let rows = self.batch.rows;
        let full = |label| BufferRange::from(self.memory.empty(label, rows * CLASSES));
        let (logits, gradient) = (full("logits"), full("gradient of the logits"));
        operations.push(self.linear(self.network.layers.len() - 1, hidden, &logits));
        let labels = BufferRange::from(&self.batch.labels);
        let results = words(&self.observations.range().buffer, self.observed.results, 2 * rows);
        let ranges = [(1, &logits), (2, &labels), (3, &gradient), (4, &results)];
        operations.push(self.bind(&self.kernels.loss, &[rows as u32], &ranges, rows));
        gradient
    }

    /// Adds what is shown of the step.
    fn observe(&self, hidden: &[Hidden], operations: &mut Vec<Operation>) {
        let (kernels, buffer) = (self.kernels, &self.observations.range().buffer);
        let (low, high) = RANGE;
        let elements = self.batch.rows * WIDTH;
        let settings = [elements as u32, (low as f32).to_bits(), (high as f32).to_bits()];
        for (layer, Hidden { y, .. }) in hidden.iter().enumerate() {
            let bins = words(buffer, self.observed.bins_of(layer), BINS);
            // One workgroup.
            operations.push(self.bind(&kernels.histogram, &settings, &[(1, y), (2, &bins)], 1));
        }
        let Network { layers, gradients, .. } = self.network;
        let weights: Vec<u32> = layers.iter().flat_map(super::network::Places::weight_words).collect();
        let weights = BufferRange::from(self.memory.filled("weights", &weights, wgpu::BufferUsages::STORAGE));
        let norms = words(buffer, self.observed.norms, layers.len());
        let ranges = [(3, &weights), (4, gradients.range()), (5, &norms)];
        operations.push(kernels.bind_entries(&kernels.norm, None, &ranges, layers.len() as u32));
    }
}
