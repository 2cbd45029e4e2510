//! The settings of a batch normalization layer.

use crate::elementwise::{Activation, Dtype, Order};
use thiserror::Error;

/// How much a new batch counts in the running statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Momentum {
    /// running ← (1 − m)·running + m·batch, PyTorch's convention: m is the weight of the **new** batch.
    /// (Keras and ONNX call 1 − m momentum.)
    MovingAverage(f64),
    /// The mean over all batches so far, PyTorch's `momentum = None`: m = 1 / (batches before + 1).
    Cumulative,
}

/// The settings of a batch normalization layer over `channels` channels.
///
/// ```
/// use wgpu_batchnorm::{Momentum, Options};
///
/// let options = Options { eps: 1e-3, momentum: Momentum::Cumulative, ..Options::new(64) };
/// assert!(options.weight && options.bias && options.running_statistics);
/// options.validate()?;
///
/// // Ghost batches of 16 samples; a batch with an infinite or NaN statistic is left out of the running ones.
/// let robust = Options { ghost_batch: Some(16), guarded: true, ..Options::new(64) };
/// robust.validate()?;
/// # Ok::<(), wgpu_batchnorm::OptionsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// C, the number of channels.
    pub channels: usize,
    /// ε in 1/√(variance + ε); positive.
    pub eps: f64,
    /// How much a new batch counts in the running statistics.
    pub momentum: Momentum,
    /// Whether there is a scale γ; without it, γ = 1.
    pub weight: bool,
    /// Whether there is an offset β; without it, β = 0.
    pub bias: bool,
    /// Whether running statistics are kept; without them there is no evaluation.
    pub running_statistics: bool,
    /// Whether a batch with a mean or variance that is not finite, in whatever channel, leaves the running
    /// statistics of all channels as they are, and is counted as skipped instead
    /// ([`RunningStatistics::num_batches_skipped`](crate::RunningStatistics::num_batches_skipped)).
    pub guarded: bool,
    /// The element type of x, y, dy, dx and the residual.
    pub dtype: Dtype,
    /// A function of single elements, fused.
    pub activation: Activation,
    /// Whether the activation comes after the normalization, or before.
    pub order: Order,
    /// Ghost batches (Hoffer, Hubara and Soudry 2017): every run of so many samples, the last one maybe
    /// shorter, is normalized with its own statistics; dγ and dβ are the sums over all, and the running statistics
    /// take one update for each, in order. Without, the batch is one group. Statistics that are not the batch's
    /// know no groups.
    pub ghost_batch: Option<usize>,
}

/// See [`Options::bits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OptionBits {
    channels: usize,
    eps: u64,
    momentum: Option<u64>,
    flags: [bool; 4],
    dtype: Dtype,
    activation: std::mem::Discriminant<Activation>,
    negative_slope: u64,
    order: Order,
    ghost_batch: Option<usize>,
}

/// Why settings are refused.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum OptionsError {
    /// No channels, or more than any device can bind.
    #[error("options have {actual} channels, expected 1 to {}", Options::MAX_CHANNELS)]
    Channels {
        /// The channels as given.
        actual: usize,
    },
    /// ε is not a positive, finite number that f32 can hold.
    #[error(
        "eps is {actual}, expected a positive finite number of at least {:e} (f32's smallest normal number): PyTorch's default is 1e-5",
        f32::MIN_POSITIVE
    )]
    Epsilon {
        /// ε as given.
        actual: f64,
    },
    /// A ghost batch has no samples.
    #[error("ghost_batch is 0 samples, expected at least 1: None for no ghost batches")]
    GhostBatch,
    /// The slope of a leaky ReLU is not a finite number.
    #[error("negative_slope is {actual}, expected a finite number: PyTorch's default is 0.01")]
    NegativeSlope {
        /// The slope as given.
        actual: f64,
    },
    /// The momentum is not in [0, 1].
    #[error(
        "momentum is {actual}, expected a number from 0 to 1, the weight of the new batch: PyTorch's default is 0.1"
    )]
    Momentum {
        /// The momentum as given.
        actual: f64,
    },
}

impl Options {
    /// The most channels: their coefficients are one binding, which WebGPU's sizes end at 4 GiB. A device
    /// may allow fewer, see [`PlanError::TooManyChannels`](crate::PlanError::TooManyChannels).
    pub const MAX_CHANNELS: usize = 1 << 27;

    /// PyTorch's defaults: ε = 1e-5, momentum 0.1, with scale, offset and running statistics.
    pub fn new(channels: usize) -> Self {
        Self {
            channels,
            eps: 1e-5,
            momentum: Momentum::MovingAverage(0.1),
            weight: true,
            bias: true,
            running_statistics: true,
            guarded: false,
            dtype: Dtype::F32,
            activation: Activation::None,
            order: Order::Post,
            ghost_batch: None,
        }
    }

    /// All settings in a form that maps can use as a key: floats have no equality that would do.
    pub(crate) fn bits(&self) -> OptionBits {
        let Self { channels, eps, momentum, weight, bias, running_statistics, guarded, .. } = *self;
        let Self { dtype, activation, order, ghost_batch, .. } = *self;
        OptionBits {
            channels,
            eps: eps.to_bits(),
            momentum: match momentum {
                Momentum::MovingAverage(momentum) => Some(momentum.to_bits()),
                Momentum::Cumulative => None,
            },
            flags: [weight, bias, running_statistics, guarded],
            dtype,
            activation: std::mem::discriminant(&activation),
            negative_slope: match activation {
                Activation::LeakyRelu { negative_slope } => negative_slope.to_bits(),
                _ => 0,
            },
            order,
            ghost_batch,
        }
    }

    /// Whether the gradient depends on what enters the activation after the normalization.
    pub(crate) fn gradient_depends_on_output(&self) -> bool {
        self.activation != Activation::None && self.order == Order::Post
    }

    /// Checks each setting.
    ///
    /// # Errors
    /// [`OptionsError`] names the first one that is out of its range.
    pub fn validate(&self) -> Result<(), OptionsError> {
        if !(1..=Self::MAX_CHANNELS).contains(&self.channels) {
            return Err(OptionsError::Channels { actual: self.channels });
        }
        let eps = self.eps as f32;
        if !(eps.is_normal() && eps > 0.0) {
            return Err(OptionsError::Epsilon { actual: self.eps });
        }
        if self.ghost_batch == Some(0) {
            return Err(OptionsError::GhostBatch);
        }
        match self.activation {
            Activation::LeakyRelu { negative_slope } if !(negative_slope as f32).is_finite() => {
                return Err(OptionsError::NegativeSlope { actual: negative_slope });
            }
            _ => {}
        }
        match self.momentum {
            Momentum::MovingAverage(momentum) if !(0.0..=1.0).contains(&momentum) => {
                Err(OptionsError::Momentum { actual: momentum })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eps_must_be_a_positive_normal_f32() {
        for eps in [0.0, -1e-5, f64::NAN, f64::INFINITY, 1e-39, 1e300] {
            let error = Options { eps, ..Options::new(3) }.validate();
            assert!(matches!(error, Err(OptionsError::Epsilon { .. })), "{eps}");
        }
        for eps in [1e-5, 1.0, 2e-38] {
            assert_eq!(Options { eps, ..Options::new(3) }.validate(), Ok(()));
        }
    }

    #[test]
    fn momentum_must_be_a_weight() {
        for actual in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let options = Options { momentum: Momentum::MovingAverage(actual), ..Options::new(3) };
            assert!(matches!(options.validate(), Err(OptionsError::Momentum { .. })), "{actual}");
        }
        for momentum in [Momentum::MovingAverage(0.0), Momentum::MovingAverage(1.0), Momentum::Cumulative] {
            assert_eq!(Options { momentum, ..Options::new(3) }.validate(), Ok(()));
        }
    }

    #[test]
    fn ghost_batches_have_samples_and_slopes_are_finite() {
        let error = Options { ghost_batch: Some(0), ..Options::new(3) }.validate();
        assert_eq!(error, Err(OptionsError::GhostBatch));
        for negative_slope in [f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let activation = Activation::LeakyRelu { negative_slope };
            let error = Options { activation, ..Options::new(3) }.validate();
            assert_eq!(error, Err(OptionsError::NegativeSlope { actual: negative_slope }));
        }
    }

    #[test]
    fn there_must_be_channels() {
        for actual in [0, Options::MAX_CHANNELS + 1, usize::MAX] {
            assert_eq!(Options::new(actual).validate(), Err(OptionsError::Channels { actual }));
        }
        assert_eq!(Options::new(Options::MAX_CHANNELS).validate(), Ok(()));
    }
}
