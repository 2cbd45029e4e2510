//! The settings of a batch normalization layer.

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

/// Which statistics normalize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Those of the batch; the gradient goes through them.
    Batch,
    /// The running ones as they are before the pass; constants to the gradient.
    Running,
    /// A mean and a variance that the caller gives; the gradient with respect to them can be asked for.
    Given,
}

/// Where the statistics come from that normalize, and whether the running ones take in the batch: two
/// settings of their own, every combination runs.
///
/// ```
/// use wgpu_batchnorm::{Mode, Source};
///
/// // Training with the running statistics, as they are before the batch, and not differentiated through them:
/// // the gradient does not see that the normalization will follow, and γ/σ may grow without end (Ioffe and
/// // Szegedy 2015, section 2).
/// let naive = Mode { source: Source::Running, update: true };
/// assert_ne!(naive, Mode::TRAINING);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Which statistics normalize.
    pub source: Source,
    /// Whether the running statistics, where there are any, take in those of the batch by the rule of
    /// [`Options::momentum`].
    pub update: bool,
}

impl Mode {
    /// Normalize with the statistics of the batch, and update the running ones where there are any.
    pub const TRAINING: Self = Self { source: Source::Batch, update: true };
    /// Normalize with the running statistics, which stay as they are.
    pub const EVALUATION: Self = Self { source: Source::Running, update: false };
    /// Normalize with given statistics; the running ones stay as they are.
    pub const GIVEN: Self = Self { source: Source::Given, update: false };
}

/// The element type of x, y, dy, dx and the residual. Statistics and everything per channel are f32, and
/// so is all arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754 binary32.
    #[default]
    F32,
    /// IEEE 754 binary16, two to a 32-bit word, the first one in the lower half; rounded to nearest even.
    F16,
    /// The upper half of a binary32 (bfloat16), stored like [`Dtype::F16`].
    BF16,
}

impl Dtype {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

/// A function of single elements that is fused with the normalization, forward and backward.
///
/// The gradient is taken from z = γ·x̂ + β + residual again (or from x, if the activation comes before), so nothing
/// more is kept, and no tensor is read or written once more.
///
/// ```
/// use wgpu_batchnorm::{Activation, Options, Order};
///
/// // y = silu(γ·x̂ + β + residual)
/// let after = Options { activation: Activation::Silu, ..Options::new(64) };
/// // y = γ·x̂ + β with x̂ that of relu(x)
/// let before = Options { activation: Activation::Relu, order: Order::Pre, ..Options::new(64) };
/// # assert!(after.validate().is_ok() && before.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// v
    #[default]
    None,
    /// max(0, v); its derivative at 0 is 0 (PyTorch's `relu`).
    Relu,
    /// v where v > 0, else slope·v; its derivative at 0 is the slope (PyTorch's `leaky_relu`).
    LeakyRelu {
        /// The slope for v ≤ 0; PyTorch's default is 0.01.
        negative_slope: f64,
    },
    /// v·sigmoid(v), also called swish (PyTorch's `silu`).
    Silu,
    /// v·Φ(v), Φ the normal distribution function (PyTorch's `gelu`).
    Gelu,
    /// v/2·(1 + tanh(√(2/π)·(v + 0.044715·v³))) (PyTorch's `gelu` with `approximate="tanh"`).
    GeluTanh,
    /// 1/(1 + exp(−v))
    Sigmoid,
    /// tanh(v)
    Tanh,
}

/// Where the activation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// y = activation(γ·x̂ + β + residual)
    #[default]
    Post,
    /// y = γ·x̂ + β + residual, with x̂ that of activation(x), whose statistics are taken.
    Pre,
}

/// The settings of a batch normalization layer over `channels` channels.
///
/// ```
/// use wgpu_batchnorm::{Momentum, Options};
///
/// let options = Options { eps: 1e-3, momentum: Momentum::Cumulative, ..Options::new(64) };
/// assert!(options.weight && options.bias && options.running_statistics);
/// options.validate()?;
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
