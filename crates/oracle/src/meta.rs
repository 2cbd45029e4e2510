//! What the metadata of a case says, as types.

use std::fmt;

/// What a case computes, with the metadata only this kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Forward, then backward from `dy`.
    Step,
    /// As [`Kind::Step`], the batch split along N over replicas.
    Sync {
        /// How many samples each replica has; 0 is allowed. They add up to N.
        replicas: Vec<usize>,
    },
    /// The population estimate over a sequence of batches `x.0`, `x.1`, ….
    Population {
        /// How many batches there are, at least 1.
        batches: usize,
    },
    /// Mean and biased variance over axes.
    Moments {
        /// The axes that are averaged over, each less than the rank, none twice.
        axes: Vec<usize>,
    },
    /// The gradient of `⟨dx, ddx⟩ + ⟨dweight, ddweight⟩ + ⟨dbias, ddbias⟩`.
    DoubleBackward,
    /// Only positions whose `mask` is 1 count.
    Masked,
    /// Every run of `group` samples is normalized with its own statistics.
    Ghost {
        /// Samples per run, at least 1; the last run may be shorter.
        group: usize,
    },
    /// A kind this version does not know: skip the case.
    Unknown(String),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Step => "step",
            Self::Sync { .. } => "sync",
            Self::Population { .. } => "population",
            Self::Moments { .. } => "moments",
            Self::DoubleBackward => "double_backward",
            Self::Masked => "masked",
            Self::Ghost { .. } => "ghost",
            Self::Unknown(name) => name,
        })
    }
}

/// Where the channel axis of `x` lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `[N, C, spatial…]`.
    #[default]
    ChannelsFirst,
    /// `[N, spatial…, C]`.
    ChannelsLast,
}

/// The element type of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit IEEE 754.
    F32,
    /// 16-bit IEEE 754.
    F16,
    /// The upper 16 bits of an `f32`.
    BF16,
    /// An element type this version does not know: skip the case.
    Unknown(String),
}

impl Dtype {
    /// From a name in either case: `f32` in metadata, `F32` in the file's header.
    pub(crate) fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "f32" => Self::F32,
            "f16" => Self::F16,
            "bf16" => Self::BF16,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::Unknown(name) => name,
        })
    }
}

/// How much of a batch goes into the running statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Momentum {
    /// `running = (1 − m)·running + m·batch` with this m.
    Average(f64),
    /// m is `1 / (num_batches_tracked + 1)`: the running statistics are the mean over all batches.
    Cumulative,
}

/// The function applied after (or before) the normalization.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// The identity.
    None,
    /// `max(0, x)`.
    Relu,
    /// `x` where `x > 0`, else `negative_slope·x`.
    LeakyRelu {
        /// The slope below zero.
        negative_slope: f64,
    },
    /// `x·sigmoid(x)`.
    Silu,
    /// `x·Φ(x)` with the error function.
    Gelu,
    /// The approximation of [`Activation::Gelu`] with tanh.
    GeluTanh,
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// An activation this version does not know: skip the case.
    Unknown(String),
}

/// Where the activation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `act(batch_norm(x) + residual)`.
    Post,
    /// `batch_norm(act(x))`.
    Pre,
}

/// Which statistics normalize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    /// Those of this batch, which also update the running ones.
    Batch,
    /// The running ones, which stay as they are.
    Running,
    /// `given_mean` and `given_var`; the running ones stay as they are.
    Given,
}

/// What becomes of the running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// They stay as they are.
    None,
    /// They take in the batch by the rule of [`Case::momentum`](crate::Case::momentum).
    Batch,
    /// As [`Update::Batch`], unless a statistic of the batch is not finite, in whatever channel: then
    /// they stay as they are in all channels, and the batch is counted as skipped.
    Guarded,
}
