//! The inputs of one step, with every option of the operator.

use super::bounds::Bounds;
use super::{Buffers, Random, Results, rounded};
use libtest_mimic::Failed;
use wgpu_batchnorm::reference::{self, Parameters, Problem};
use wgpu_batchnorm::{Activation, Context, Dtype, Mode, Options, Order, RunningValues, Shape, Source};

/// The inputs of a step.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) shape: Shape,
    pub(crate) options: Options,
    pub(crate) mode: Mode,
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) running: RunningValues,
    /// Mean and variance that normalize with [`Source::Given`].
    pub(crate) given: [Vec<f32>; 2],
    pub(crate) residual: Option<Vec<f32>>,
    /// Which of the N·S positions count.
    pub(crate) mask: Option<Vec<bool>>,
}

impl Setup {
    /// Normal data of the given mean and deviation in f32, all parameters, training; nothing fused.
    pub(crate) fn new(shape: Shape, mean: f64, deviation: f64) -> Self {
        let mut random = Random(shape.elements() as u64 * 31 + shape.channels() as u64);
        let channels = shape.channels();
        let squares = |values: Vec<f32>| values.iter().map(|v| v * v + 0.1).collect::<Vec<f32>>();
        Self {
            shape,
            options: Options::new(channels),
            mode: Mode::TRAINING,
            x: random.normals(shape.elements(), mean, deviation),
            dy: random.normals(shape.elements(), 0.1, 1.0),
            weight: random.normals(channels, 1.0, 0.3),
            bias: random.normals(channels, 0.0, 0.5),
            running: RunningValues::new(
                random.normals(channels, mean, deviation),
                squares(random.normals(channels, 0.0, 1.0)),
                3,
            ),
            given: [
                random.normals(channels, mean, deviation),
                squares(random.normals(channels, 0.0, deviation)),
            ],
            residual: None,
            mask: None,
        }
    }

    pub(crate) fn with_dtype(mut self, dtype: Dtype) -> Self {
        self.options.dtype = dtype;
        self.rounded()
    }

    pub(crate) fn with_activation(mut self, activation: Activation, order: Order) -> Self {
        (self.options.activation, self.options.order) = (activation, order);
        self
    }

    /// With a residual as large as the other summands of the output.
    pub(crate) fn with_residual(mut self) -> Self {
        let elements = self.shape.elements();
        let residual = Random(elements as u64 * 17 + 5).normals(elements, 0.2, 0.8);
        self.residual = Some(rounded(self.options.dtype, &residual));
        self
    }

    /// With a mask that shows about this share of the positions, at least two of the first sample's and
    /// two of each group, if there are as many.
    pub(crate) fn with_mask(mut self, share: f64) -> Self {
        let (samples, spatial) = (self.shape.samples(), self.shape.spatial());
        let mut random = Random(self.shape.elements() as u64 * 13 + 7);
        let group = self.options.ghost_batch.unwrap_or(samples) * spatial;
        let shown = (0..samples * spatial).map(|i| i % group < 2 || random.uniform() < share);
        self.mask = Some(shown.collect());
        self
    }

    pub(crate) fn with_ghost_batch(mut self, samples: usize) -> Self {
        self.options.ghost_batch = Some(samples);
        self
    }

    /// Replaces each value of x by a function of its channel, its place in the channel and itself.
    pub(crate) fn with_x(mut self, value: impl Fn(usize, usize, f32) -> f32) -> Self {
        for c in 0..self.shape.channels() {
            for (i, position) in super::positions(self.shape, c, 0..self.shape.samples()) {
                self.x[i] = value(c, position, self.x[i]);
            }
        }
        self.rounded()
    }

    /// The samples of each group in order; one group without ghost batches.
    pub(crate) fn groups(&self) -> Vec<std::ops::Range<usize>> {
        let samples = self.shape.samples();
        let size = self.options.ghost_batch.unwrap_or(samples);
        (0..samples).step_by(size).map(|first| first..(first + size).min(samples)).collect()
    }

    pub(crate) fn is_shown(&self, position: usize) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask[position])
    }

    /// The same with what the tensors hold of the values.
    pub(crate) fn rounded(mut self) -> Self {
        let dtype = self.options.dtype;
        (self.x, self.dy) = (rounded(dtype, &self.x), rounded(dtype, &self.dy));
        self.residual = self.residual.map(|residual| rounded(dtype, &residual));
        self
    }

    /// What the reference is given.
    pub(crate) fn problem(&self) -> Problem<'_> {
        let parameters = Parameters {
            weight: self.options.weight.then_some(self.weight.as_slice()),
            bias: self.options.bias.then_some(self.bias.as_slice()),
            epsilon: self.options.eps,
        };
        let [mean, variance] = &self.given;
        let source = match self.mode.source {
            Source::Batch => reference::Source::Batch,
            Source::Running => {
                reference::Source::Held { mean: &self.running.mean, variance: &self.running.var }
            }
            Source::Given => reference::Source::Held { mean, variance },
        };
        Problem {
            activation: self.options.activation,
            order: self.options.order,
            residual: self.residual.as_deref(),
            mask: self.mask.as_deref(),
            ghost_batch: self.options.ghost_batch,
            ..Problem::new(self.shape, parameters, source)
        }
    }

    /// The same with dy = 0 where the activation has a kink so near to what enters it that rounding decides on
    /// the side, so that it decides on nothing; and how often that was.
    pub(crate) fn without_kinks(mut self) -> Result<(Self, usize), String> {
        let kinked = matches!(self.options.activation, Activation::Relu | Activation::LeakyRelu { .. });
        // Before the normalization it is x that enters it, which nobody rounds.
        if !kinked || self.options.order == Order::Pre {
            return Ok((self, 0));
        }
        let forward = reference::forward(&self.problem(), &self.x).map_err(|error| error.to_string())?;
        let mut settled = 0;
        for (samples, group) in self.groups().into_iter().zip(&forward.groups) {
            for c in 0..self.shape.channels() {
                let near_zero = 2.0 * Bounds::of(&self, c, samples.clone(), group, &forward.z).y;
                for (i, position) in super::positions(self.shape, c, samples.clone()) {
                    if self.is_shown(position) && forward.z[i].abs() <= near_zero {
                        self.dy[i] = 0.0;
                        settled += 1;
                    }
                }
            }
        }
        Ok((self, settled))
    }

    pub(crate) fn run(&self, context: &Context) -> Result<Results, Failed> {
        let buffers = Buffers::new(context, self)?;
        buffers.submit(context)?;
        buffers.results(context)
    }

    /// Runs the step, and compares everything it gives with the reference.
    pub(crate) fn check(&self, context: &Context) -> Result<(), Failed> {
        let described = |error: String| {
            let Self { shape, mode, options, residual, mask, .. } = self;
            let [residual, mask] = [residual.is_some(), mask.is_some()];
            Failed::from(format!("{shape} {mode:?} {options:?} residual {residual} mask {mask}: {error}"))
        };
        let (setup, settled) = self.clone().rounded().without_kinks().map_err(described)?;
        if settled > 4 + setup.x.len() / 500 {
            return Err(described(format!("{settled} of {} values at a kink: too many", setup.x.len())));
        }
        let results = setup.run(context).map_err(|error| described(error.message().unwrap_or("").into()))?;
        setup.compare(&results).map_err(described)
    }
}
