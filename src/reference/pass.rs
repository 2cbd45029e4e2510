//! The steps composed into a forward and a backward pass.

use super::{
    Moments, ReferenceError, Statistics, backward_apply, backward_finalize, backward_reduce, finalize,
    normalize, per_channel, statistics,
};
use crate::Shape;

/// γ, β and ε.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters<'a> {
    /// γ, `[C]`; absent: 1.
    pub weight: Option<&'a [f32]>,
    /// β, `[C]`; absent: 0.
    pub bias: Option<&'a [f32]>,
    /// ε, added to the variance.
    pub epsilon: f64,
}

/// Which statistics normalize.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source<'a> {
    /// Training: those of the batch, which `x` reaches the loss through.
    Batch,
    /// Evaluation, or frozen statistics: these, held constant.
    Held {
        /// μ, `[C]`.
        mean: &'a [f32],
        /// v, `[C]`.
        variance: &'a [f32],
    },
}

/// What the forward pass gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// The output, in the layout of `x`.
    pub y: Vec<f64>,
    /// What normalized.
    pub statistics: Statistics,
    /// In training the moments of the batch, for [`running_stats`](super::running_stats).
    pub moments: Option<Moments>,
}

/// What the backward pass gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Backward {
    /// The gradient of `x`, in its layout.
    pub dx: Vec<f64>,
    /// dγ, `[C]`: there whether `weight` is or not.
    pub dweight: Vec<f64>,
    /// dβ, `[C]`: there whether `bias` is or not.
    pub dbias: Vec<f64>,
}

/// The forward pass: `statistics` and `finalize` if the batch is the source, then `normalize`.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says, or the batch is the source
/// and has one value per channel.
pub fn forward(
    x: &[f32],
    shape: &Shape,
    parameters: &Parameters<'_>,
    source: Source<'_>,
) -> Result<Forward, ReferenceError> {
    let (statistics, moments) = source.resolve(x, shape, parameters.epsilon)?;
    let y = normalize(x, shape, &statistics, parameters.weight, parameters.bias)?;
    Ok(Forward { y, statistics, moments })
}

/// The backward pass from `dy`, the gradient of the loss with respect to y: `backward_reduce`,
/// `backward_finalize`, `backward_apply`. The statistics are taken from `x` again.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    x: &[f32],
    dy: &[f32],
    shape: &Shape,
    parameters: &Parameters<'_>,
    source: Source<'_>,
) -> Result<Backward, ReferenceError> {
    let (statistics, moments) = source.resolve(x, shape, parameters.epsilon)?;
    let gradients = backward_finalize(&backward_reduce(x, dy, shape, &statistics)?);
    let means = moments.is_some().then_some(&gradients);
    let dx = backward_apply(x, dy, shape, &statistics, parameters.weight, means)?;
    Ok(Backward { dx, dweight: gradients.dweight, dbias: gradients.dbias })
}

impl Source<'_> {
    fn resolve(
        self,
        x: &[f32],
        shape: &Shape,
        epsilon: f64,
    ) -> Result<(Statistics, Option<Moments>), ReferenceError> {
        match self {
            Self::Batch if shape.values_per_channel() < 2 => {
                Err(ReferenceError::TooFewValues { actual: shape.values_per_channel() })
            }
            Self::Batch => {
                let moments = statistics(x, shape)?;
                Ok((finalize(&moments, epsilon), Some(moments)))
            }
            Self::Held { mean, variance } => {
                let mean = per_channel("mean", Some(mean), 0.0, shape)?;
                let variance = per_channel("variance", Some(variance), 1.0, shape)?;
                Ok((Statistics::held(mean, variance, epsilon), None))
            }
        }
    }
}
