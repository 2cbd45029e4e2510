//! What the steps hand to one another, and why one has no result.

use thiserror::Error;

use crate::Shape;

/// Why a step has no result.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferenceError {
    /// A slice does not have as many values as the shape says.
    #[error("{tensor} has {actual} values, expected {expected} for the shape {shape}")]
    Length {
        /// What the slice holds.
        tensor: &'static str,
        /// How many values it has.
        actual: usize,
        /// How many it should have.
        expected: usize,
        /// The shape of `x`.
        shape: Shape,
    },
    /// Slices with one value per channel differ in length.
    #[error("{tensor} has {actual} channels, expected {expected}: use the results of one shape together")]
    Channels {
        /// What the slice holds.
        tensor: &'static str,
        /// How many channels it has.
        actual: usize,
        /// How many it should have.
        expected: usize,
    },
    /// The unbiased variance of fewer than two values is undefined.
    #[error("{actual} value per channel, expected at least 2 in training: use a larger batch or evaluate")]
    TooFewValues {
        /// N·S.
        actual: usize,
    },
}

/// What `statistics` finds per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// m = N·S, the number of values per channel.
    pub count: usize,
    /// μ, `[C]`.
    pub mean: Vec<f64>,
    /// Σ(x − μ)², `[C]`.
    pub m2: Vec<f64>,
}

/// What normalizes a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// μ, `[C]`.
    pub mean: Vec<f64>,
    /// v, the biased variance, `[C]`.
    pub variance: Vec<f64>,
    /// 1/σ = 1/√(v + ε), `[C]`.
    pub inverse_sigma: Vec<f64>,
}

/// Running statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The running mean, `[C]`.
    pub mean: Vec<f64>,
    /// The running variance, of unbiased variances, `[C]`.
    pub variance: Vec<f64>,
}

/// What `backward_reduce` finds per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct GradSums {
    /// m = N·S, the number of values per channel.
    pub count: usize,
    /// Σdy, `[C]`.
    pub sum_dy: Vec<f64>,
    /// Σdy·x̂, `[C]`.
    pub sum_dy_x_hat: Vec<f64>,
}

/// The gradients of the parameters, and the means that `backward_apply` takes off.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelGradients {
    /// dγ, `[C]`.
    pub dweight: Vec<f64>,
    /// dβ, `[C]`.
    pub dbias: Vec<f64>,
    /// mean(dy), `[C]`.
    pub mean_dy: Vec<f64>,
    /// mean(dy·x̂), `[C]`.
    pub mean_dy_x_hat: Vec<f64>,
}

impl Statistics {
    /// Mean and variance from elsewhere, with 1/σ = 1/√(v + ε).
    pub fn held(mean: Vec<f64>, variance: Vec<f64>, epsilon: f64) -> Self {
        let inverse_sigma = variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect();
        Self { mean, variance, inverse_sigma }
    }

    /// x̂ = (x − μ)/σ.
    pub(super) fn x_hat(&self, x: f32, channel: usize) -> f64 {
        (f64::from(x) - self.mean[channel]) * self.inverse_sigma[channel]
    }

    pub(super) fn check(&self, shape: &Shape) -> Result<(), ReferenceError> {
        super::check("mean", &self.mean, shape.channels(), shape)?;
        super::check("1/sigma", &self.inverse_sigma, shape.channels(), shape)
    }
}
