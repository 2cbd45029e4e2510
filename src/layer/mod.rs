//! The short path: a layer that owns its parameters and submits its work.

mod values;

pub use values::LayerValues;

use crate::batch_norm::{
    BackwardTensors, BatchNorm, BatchNormError, FoldTensors, ForwardTensors, StatisticsTensors,
};
use crate::buffer::BufferRange;
use crate::context::Context;
use crate::device::DeviceError;
use crate::mask::Mask;
use crate::mode::Mode;
use crate::options::{Momentum, Options, OptionsError};
use crate::plan::Accumulation;
use crate::state::{BatchStatistics, GivenStatistics, RunningStatistics, RunningValues, SavedStatistics};
use crate::tensor::{Tensor, Vector};
use thiserror::Error;

/// A batch normalization layer that owns its parameters and submits its own work.
///
/// ```no_run
/// use wgpu_batchnorm::{Context, Layer, Layout, Mode, Options, Shape, Tensor};
///
/// let context = Context::new_blocking()?;
/// let mut layer = Layer::new(&context, Options::new(2))?;
/// let shape = Shape::new(&[2, 2], Layout::ChannelsFirst)?;
/// let x = Tensor::upload(&context, shape, &[1.0, 10.0, 3.0, 30.0])?;
/// let y = layer.submit_forward(Mode::TRAINING, &x)?;
/// assert!((y.download_blocking()?[0] + 1.0).abs() < 1e-4);
/// let gradients = layer.submit_backward(&x, &y)?;
/// assert_eq!(gradients.dx.download_blocking()?.len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Layer {
    batch_norm: BatchNorm,
    weight: Option<BufferRange>,
    bias: Option<BufferRange>,
    running: Option<RunningStatistics>,
    saved: SavedStatistics,
    mode: Mode,
}

/// Why a layer was not made.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum LayerError {
    /// An option is out of its range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// What a backward pass gives.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Gradient with respect to x.
    pub dx: Tensor,
    /// Gradient with respect to the residual, if there was one.
    pub dresidual: Option<Tensor>,
    /// Gradient with respect to γ, if there is one.
    pub dweight: Option<Vector>,
    /// Gradient with respect to β, if there is one.
    pub dbias: Option<Vector>,
}

/// What a pass may work on beside x.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// Added before the activation.
    pub residual: Option<&'a Tensor>,
    /// Which positions count.
    pub mask: Option<&'a Mask>,
    /// What normalizes in [`Mode::GIVEN`].
    pub given: Option<&'a GivenStatistics>,
}

impl Layer {
    /// A layer with weight 1, bias 0, running mean 0 and running variance 1, as far as it has them.
    ///
    /// # Errors
    /// [`LayerError`] if an option is out of its range or the device fails.
    pub fn new(context: &Context, options: Options) -> Result<Self, LayerError> {
        let batch_norm = BatchNorm::new(context, options)?;
        context.check_alive()?;
        let channels = options.channels;
        let parameter = |wanted: bool, start: f32| {
            let values = wanted.then(|| vec![start; channels]);
            values.map(|values| Vector::upload(context, &values).map(|vector| vector.range)).transpose()
        };
        let running = options
            .running_statistics
            .then(|| RunningStatistics::upload(context, &RunningValues::start(channels)))
            .transpose()?;
        Ok(Self {
            weight: parameter(options.weight, 1.0)?,
            bias: parameter(options.bias, 0.0)?,
            running,
            saved: SavedStatistics::new(context, channels)?,
            batch_norm,
            mode: Mode::TRAINING,
        })
    }

    /// The options.
    pub fn options(&self) -> &Options {
        self.batch_norm.options()
    }

    /// The blocking twin of [`Layer::batch_statistics`].
    ///
    /// # Errors
    /// As [`Layer::batch_statistics`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn batch_statistics_blocking(&self) -> Result<BatchStatistics, DeviceError> {
        pollster::block_on(self.batch_statistics())
    }

    /// Mean and biased variance that normalized the last batch.
    ///
    /// # Errors
    /// [`DeviceError`] if the device fails.
    pub async fn batch_statistics(&self) -> Result<BatchStatistics, DeviceError> {
        self.saved.download(self.batch_norm.context()).await
    }

    /// Runs the forward pass and returns y; in training it updates the running statistics.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing was submitted then.
    pub fn submit_forward(&mut self, mode: Mode, x: &Tensor) -> Result<Tensor, BatchNormError> {
        self.submit_forward_with(mode, x, Extras::default())
    }

    /// Runs the forward pass with a residual, a mask or given statistics, and returns y.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing was submitted then.
    pub fn submit_forward_with(
        &mut self,
        mode: Mode,
        x: &Tensor,
        extras: Extras<'_>,
    ) -> Result<Tensor, BatchNormError> {
        let Extras { residual, mask, given } = extras;
        self.check_tensors(x, [("residual", residual)])?;
        // The last pass's may wait for its backward pass no longer.
        let saved = if self.saved.range().size == self.batch_norm.saved_bytes(&x.shape) {
            self.saved.clone()
        } else {
            self.batch_norm.saved_statistics(&x.shape)?
        };
        let y = Tensor::zeros_as(self.batch_norm.context(), x.shape, x.dtype())?;
        let tensors = ForwardTensors {
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            running: self.running.as_ref(),
            given,
            residual: residual.map(|residual| residual.range.clone()),
            mask,
            ..ForwardTensors::new(x.range.clone(), y.range.clone(), &saved)
        };
        let forward = self.batch_norm.bind_forward(&x.shape, mode, &tensors)?;
        self.batch_norm.context().submit(|encoder| forward.record(encoder))?;
        (self.mode, self.saved) = (mode, saved);
        Ok(y)
    }

    /// Runs the backward pass of the last forward pass, whose input was `x`.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing was submitted then.
    pub fn submit_backward(&mut self, x: &Tensor, dy: &Tensor) -> Result<Gradients, BatchNormError> {
        self.submit_backward_with(x, dy, Extras::default())
    }

    /// Runs the backward pass of the last forward pass, whose input was `x`, with the same residual and mask.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing was submitted then.
    pub fn submit_backward_with(
        &mut self,
        x: &Tensor,
        dy: &Tensor,
        extras: Extras<'_>,
    ) -> Result<Gradients, BatchNormError> {
        let Extras { residual, mask, .. } = extras;
        self.check_tensors(x, [("dy", Some(dy)), ("residual", residual)])?;
        let context = self.batch_norm.context();
        let zeros = || Tensor::zeros_as(context, x.shape, x.dtype());
        let gradient =
            |wanted: bool| wanted.then(|| Vector::zeros(context, self.options().channels)).transpose();
        let gradients = Gradients {
            dx: zeros()?,
            dresidual: residual.map(|_| zeros()).transpose()?,
            dweight: gradient(self.weight.is_some())?,
            dbias: gradient(self.bias.is_some())?,
        };
        let written = |vector: &Vector| (vector.range.clone(), Accumulation::Replace);
        let range = |tensor: &Tensor| tensor.range.clone();
        let tensors = BackwardTensors {
            residual: residual.map(range),
            mask,
            dx: Some(range(&gradients.dx)),
            dresidual: gradients.dresidual.as_ref().map(range),
            dweight: gradients.dweight.as_ref().map(written),
            dbias: gradients.dbias.as_ref().map(written),
            ..BackwardTensors::new(range(x), range(dy), &self.saved)
        };
        let backward = self.batch_norm.bind_backward(&dy.shape, self.mode, &tensors)?;
        context.submit(|encoder| backward.record(encoder))?;
        Ok(gradients)
    }

    /// Replaces the running statistics by the population estimate over `batches`: the mean of the batch means and
    /// of the unbiased batch variances (Ioffe and Szegedy 2015, Algorithm 2; PyTorch's `swa_utils.update_bn`). Over
    /// another domain's data this is AdaBN (Li et al. 2016). All of it is accumulated on the device. If anything
    /// does not fit, the layer stays as it is.
    ///
    /// ```no_run
    /// use wgpu_batchnorm::{Context, Layer, Layout, Options, Shape, Tensor};
    ///
    /// let context = Context::new_blocking()?;
    /// let mut layer = Layer::new(&context, Options::new(1))?;
    /// let shape = Shape::new(&[2, 1], Layout::ChannelsLast)?;
    /// let batches = [[1.0, 3.0], [5.0, 9.0]].map(|values| Tensor::upload(&context, shape, &values));
    /// let [first, second] = batches;
    /// layer.submit_population(&[first?, second?])?;
    /// let running = layer.running_blocking()?.ok_or("the layer has running statistics")?;
    /// assert_eq!((running.mean[0], running.var[0]), (4.5, 5.0)); // of 2 and 7, and of 2 and 8
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BatchNormError`] if the layer has no running statistics, there is no batch, one does not fit, or the
    /// device fails.
    pub fn submit_population(&mut self, batches: &[Tensor]) -> Result<(), BatchNormError> {
        let (context, options) = (self.batch_norm.context(), *self.options());
        if self.running.is_none() {
            return Err(BatchNormError::NoRunningStatistics);
        }
        if batches.is_empty() {
            return Err(BatchNormError::NoBatches);
        }
        for x in batches {
            self.check_tensors(x, [])?;
        }
        let cumulative = Options { momentum: Momentum::Cumulative, ..options };
        let batch_norm = BatchNorm::with_valid(context, cumulative);
        let running = RunningStatistics::upload(context, &RunningValues::start(options.channels))?;
        let mut passes = Vec::with_capacity(batches.len());
        for x in batches {
            let saved = batch_norm.saved_statistics(&x.shape)?;
            let tensors = StatisticsTensors {
                x: x.range.clone(),
                mask: None,
                running: Some(&running),
                saved: &saved,
                workspace: None,
            };
            passes.push(batch_norm.bind_statistics(&x.shape, &tensors)?);
        }
        context.submit(|encoder| passes.iter().try_for_each(|pass| pass.record(&mut *encoder)))?;
        self.running = Some(running);
        Ok(())
    }

    /// Folds the layer as it is in evaluation into y = scale·x + offset, and returns scale and offset: to be
    /// merged into the weights of a convolution before it.
    ///
    /// These are the normalization's alone: an activation after it remains to be applied, and one before it
    /// ([`Order::Pre`](crate::Order::Pre)) stands between it and the convolution, so that nothing can be merged.
    ///
    /// # Errors
    /// [`BatchNormError`] if the layer has no running statistics or the device fails.
    pub fn submit_fold(&self) -> Result<(Vector, Vector), BatchNormError> {
        let RunningStatistics { mean, var, .. } =
            self.running.as_ref().ok_or(BatchNormError::NoRunningStatistics)?;
        let (context, channels) = (self.batch_norm.context(), self.options().channels);
        let (scale, offset) = (Vector::zeros(context, channels)?, Vector::zeros(context, channels)?);
        let fold = self.batch_norm.bind_fold(&FoldTensors {
            statistics: &GivenStatistics { mean: mean.clone(), var: var.clone() },
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            scale: scale.range.clone(),
            offset: offset.range.clone(),
        })?;
        context.submit(|encoder| fold.record(encoder))?;
        Ok((scale, offset))
    }

    /// Whether x and these tensors have the shape of x and the element type of the options.
    fn check_tensors<const N: usize>(
        &self,
        x: &Tensor,
        tensors: [(&'static str, Option<&Tensor>); N],
    ) -> Result<(), BatchNormError> {
        let expected = self.options().dtype;
        for (tensor, given) in [("x", Some(x))].into_iter().chain(tensors) {
            let Some(given) = given else { continue };
            if given.shape != x.shape {
                return Err(BatchNormError::Shapes { tensor, actual: given.shape, expected: x.shape });
            }
            if given.dtype() != expected {
                return Err(BatchNormError::Dtype { tensor, actual: given.dtype(), expected });
            }
        }
        Ok(())
    }
}
