//! Statistics alone and normalization alone, under TensorFlow's names.

use crate::batch_norm::{
    BackwardTensors, BatchNorm, BatchNormError, ForwardTensors, MomentsBackwardTensors, StatisticsTensors,
};
use crate::mode::Mode;
use crate::options::{Options, OptionsError};
use crate::plan::{Accumulation, WORD_BYTES};
use crate::state::{GivenStatistics, SavedStatistics};
use crate::tensor::{Tensor, Vector};
use thiserror::Error;

/// Why [`submit_moments`] or [`submit_batch_normalization`] failed.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum FunctionalError {
    /// The variance's ε is out of its range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A vector does not have one value for each channel of x.
    #[error("{what} has {actual} values, expected {expected}, one for each channel of x")]
    Length {
        /// The vector's name.
        what: &'static str,
        /// Its values.
        actual: u64,
        /// The channels of x.
        expected: u64,
    },
    /// Something does not fit, or the device failed.
    #[error(transparent)]
    BatchNorm(#[from] BatchNormError),
}

fn check_lengths<const N: usize>(
    x: &Tensor,
    vectors: [(&'static str, Option<&Vector>); N],
) -> Result<(), FunctionalError> {
    let expected = x.shape.channels() as u64;
    for (what, vector) in vectors {
        let actual = vector.map_or(expected, |vector| vector.range.size / WORD_BYTES);
        if actual != expected {
            return Err(FunctionalError::Length { what, actual, expected });
        }
    }
    Ok(())
}

impl From<crate::device::DeviceError> for FunctionalError {
    fn from(error: crate::device::DeviceError) -> Self {
        Self::BatchNorm(error.into())
    }
}

/// Mean and variance of a tensor, and what their gradient needs.
#[derive(Clone, Debug)]
pub struct Moments {
    batch_norm: BatchNorm,
    saved: SavedStatistics,
    x: Tensor,
    /// Mean of each channel.
    pub mean: Vector,
    /// Biased variance of each channel.
    pub variance: Vector,
}

/// Mean and biased variance of each channel of `x`: mean = Σx/m, variance = Σ(x − mean)²/m over the m = N·S values
/// of a channel.
///
/// This is TensorFlow's `tf.nn.moments(x, axes)`: [`Shape::of_moments`](crate::Shape::of_moments) gives the shape to
/// upload x with.
///
/// ```no_run
/// use wgpu_batchnorm::{Context, Shape, Tensor, submit_moments};
///
/// let context = Context::new_blocking()?;
/// // tf.nn.moments(x, axes=[0, 2, 3]) of a [8, 3, 4, 4] tensor
/// let shape = Shape::of_moments(&[8, 3, 4, 4], &[0, 2, 3])?;
/// let x = Tensor::upload(&context, shape, &vec![1.5; shape.elements()])?;
/// let moments = submit_moments(&x)?;
/// assert_eq!(moments.mean.download_blocking()?, [1.5; 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`FunctionalError`] if the device fails or the shape is beyond what the kernels can address.
pub fn submit_moments(x: &Tensor) -> Result<Moments, FunctionalError> {
    let (context, channels) = (&x.context, x.shape.channels());
    let options = Options {
        weight: false,
        bias: false,
        running_statistics: false,
        dtype: x.dtype(),
        ..Options::new(channels)
    };
    let batch_norm = BatchNorm::new(context, options)?;
    let saved = SavedStatistics::new(context, channels)?;
    let (mean, variance) = (Vector::zeros(context, channels)?, Vector::zeros(context, channels)?);
    let tensors =
        StatisticsTensors { x: x.range.clone(), mask: None, running: None, saved: &saved, workspace: None };
    let statistics = batch_norm.bind_statistics(&x.shape, &tensors)?;
    let plane = WORD_BYTES * channels as u64;
    context.submit(|encoder| {
        statistics.record(&mut *encoder)?;
        for (field, vector) in [(0, &mean), (2, &variance)] {
            let from = &saved.range().buffer;
            encoder.copy_buffer_to_buffer(from, field * plane, &vector.range.buffer, 0, plane);
        }
        Ok::<(), BatchNormError>(())
    })?;
    Ok(Moments { batch_norm, saved, x: x.clone(), mean, variance })
}

impl Moments {
    /// The gradient with respect to x: dx = (dmean + 2·(x − mean)·dvariance)/m.
    ///
    /// # Errors
    /// [`FunctionalError`] if the vectors do not have C values or the device fails.
    pub fn submit_backward(&self, dmean: &Vector, dvariance: &Vector) -> Result<Tensor, FunctionalError> {
        let (context, x) = (&self.x.context, &self.x);
        check_lengths(x, [("dmean", Some(dmean)), ("dvariance", Some(dvariance))])?;
        let dx = Tensor::zeros_as(context, x.shape, x.dtype())?;
        let tensors = MomentsBackwardTensors {
            x: x.range.clone(),
            mask: None,
            saved: &self.saved,
            dmoments: &GivenStatistics { mean: dmean.range.clone(), var: dvariance.range.clone() },
            dx: dx.range.clone(),
            workspace: None,
        };
        let backward = self.batch_norm.bind_moments_backward(&x.shape, &tensors)?;
        context.submit(|encoder| backward.record(encoder))?;
        Ok(dx)
    }
}

/// A normalized tensor, and what its gradients need.
#[derive(Clone, Debug)]
pub struct BatchNormalization {
    batch_norm: BatchNorm,
    saved: SavedStatistics,
    x: Tensor,
    /// The normalized tensor.
    pub y: Tensor,
}

/// The gradients of [`submit_batch_normalization`].
#[derive(Clone, Debug)]
pub struct BatchNormalizationGradients {
    /// Gradient with respect to x: γ/σ·dy.
    pub dx: Tensor,
    /// Gradient with respect to the mean: −γ/σ·Σdy.
    pub dmean: Vector,
    /// Gradient with respect to the variance: −γ/(2σ²)·Σdy·x̂.
    pub dvariance: Vector,
    /// Gradient with respect to the offset, if there is one: Σdy.
    pub doffset: Option<Vector>,
    /// Gradient with respect to the scale, if there is one: Σdy·x̂.
    pub dscale: Option<Vector>,
}

/// y = scale·(x − mean)/√(variance + ε) + offset with a given mean and variance.
///
/// This is TensorFlow's `tf.nn.batch_normalization(x, mean, variance, offset, scale, variance_epsilon)`. With
/// [`submit_moments`] before it, and the gradients of both, it is batch normalization in training in parts.
///
/// ```no_run
/// use wgpu_batchnorm::{Context, Layout, Shape, Tensor, submit_batch_normalization, submit_moments};
///
/// let context = Context::new_blocking()?;
/// let shape = Shape::new(&[4, 2], Layout::ChannelsLast)?;
/// let x = Tensor::upload(&context, shape, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])?;
/// let moments = submit_moments(&x)?;
/// let normalized = submit_batch_normalization(&x, &moments.mean, &moments.variance, None, None, 1e-3)?;
/// let gradients = normalized.submit_backward(&normalized.y)?;
/// let through_moments = moments.submit_backward(&gradients.dmean, &gradients.dvariance)?;
/// # let _ = through_moments;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`FunctionalError`] if a vector does not have C values, ε is not positive, or the device fails.
pub fn submit_batch_normalization(
    x: &Tensor,
    mean: &Vector,
    variance: &Vector,
    offset: Option<&Vector>,
    scale: Option<&Vector>,
    variance_epsilon: f64,
) -> Result<BatchNormalization, FunctionalError> {
    let (context, channels) = (&x.context, x.shape.channels());
    let vectors = [("mean", Some(mean)), ("variance", Some(variance)), ("offset", offset), ("scale", scale)];
    check_lengths(x, vectors)?;
    let options = Options {
        eps: variance_epsilon,
        weight: scale.is_some(),
        bias: offset.is_some(),
        running_statistics: false,
        dtype: x.dtype(),
        ..Options::new(channels)
    };
    let batch_norm = BatchNorm::new(context, options)?;
    let saved = SavedStatistics::new(context, channels)?;
    let y = Tensor::zeros_as(context, x.shape, x.dtype())?;
    let given = GivenStatistics { mean: mean.range.clone(), var: variance.range.clone() };
    let tensors = ForwardTensors {
        weight: scale.map(|scale| scale.range.clone()),
        bias: offset.map(|offset| offset.range.clone()),
        given: Some(&given),
        ..ForwardTensors::new(x.range.clone(), y.range.clone(), &saved)
    };
    let forward = batch_norm.bind_forward(&x.shape, Mode::GIVEN, &tensors)?;
    context.submit(|encoder| forward.record(encoder))?;
    Ok(BatchNormalization { batch_norm, saved, x: x.clone(), y })
}

impl BatchNormalization {
    /// The gradients with respect to all inputs from `dy`, the gradient with respect to y.
    ///
    /// # Errors
    /// [`FunctionalError`] if `dy` does not have the shape and element type of x, or the device fails.
    pub fn submit_backward(&self, dy: &Tensor) -> Result<BatchNormalizationGradients, FunctionalError> {
        let (context, x, options) = (&self.x.context, &self.x, self.batch_norm.options());
        if dy.shape != x.shape {
            let (actual, expected) = (dy.shape, x.shape);
            return Err(BatchNormError::Shapes { tensor: "dy", actual, expected }.into());
        }
        if dy.dtype() != x.dtype() {
            let (actual, expected) = (dy.dtype(), x.dtype());
            return Err(BatchNormError::Dtype { tensor: "dy", actual, expected }.into());
        }
        let vector = || Vector::zeros(context, x.shape.channels());
        let gradients = BatchNormalizationGradients {
            dx: Tensor::zeros_as(context, x.shape, x.dtype())?,
            dmean: vector()?,
            dvariance: vector()?,
            doffset: options.bias.then(vector).transpose()?,
            dscale: options.weight.then(vector).transpose()?,
        };
        let replaced = |vector: &Vector| (vector.range.clone(), Accumulation::Replace);
        let dgiven =
            GivenStatistics { mean: gradients.dmean.range.clone(), var: gradients.dvariance.range.clone() };
        let tensors = BackwardTensors {
            dx: Some(gradients.dx.range.clone()),
            dweight: gradients.dscale.as_ref().map(replaced),
            dbias: gradients.doffset.as_ref().map(replaced),
            dgiven: Some(&dgiven),
            ..BackwardTensors::new(x.range.clone(), dy.range.clone(), &self.saved)
        };
        let backward = self.batch_norm.bind_backward(&x.shape, Mode::GIVEN, &tensors)?;
        context.submit(|encoder| backward.record(encoder))?;
        Ok(gradients)
    }
}
