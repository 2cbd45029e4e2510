//! What a dispatch does with the big tensors, and what its reduction leaves.

use super::{PLANES, SECOND_PLANES, WORD_BYTES};

/// What a dispatch does with the big tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Leaves a record for each channel, group and split.
    Reduce(Monoid),
    /// Writes a tensor.
    Map(Coefficients),
    /// Reduces some channels and writes others.
    Pipelined(Monoid),
    /// Has all values of a channel and group in one workgroup.
    Whole(Whole),
}

/// How many numbers of each channel a lane needs at once to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coefficients {
    /// So few that it may hold those of several channels.
    Few,
    /// More than there are registers for several.
    Many,
}

/// The work of a kernel whose workgroups have all values of their channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// What is reduced.
    pub(crate) monoid: Monoid,
    /// Where the values wait for the second look.
    pub(crate) kept: Kept,
    /// Tensors that are looked at twice.
    pub(crate) tensors: u64,
}

impl Work {
    pub(super) fn monoid(self) -> Option<Monoid> {
        match self {
            Self::Reduce(monoid) | Self::Pipelined(monoid) | Self::Whole(Whole { monoid, .. }) => {
                Some(monoid)
            }
            Self::Map(_) => None,
        }
    }
}

/// Where a workgroup keeps the values of a channel between reducing and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In registers: each is read once.
    InRegisters,
    /// In the cache, as far as they fit it: they are read again.
    InCache,
}

/// What a reduction leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Monoid {
    /// {count, carry, mean_hi, mean_lo, M2}
    Moments,
    /// {Σdy, Σdy·x̂}, each a pair.
    GradSums,
    /// {count, Σx̂, mean(dy), mean(ddx), Σdy'·ddx', Σdy'·x̂, Σddx'·x̂}, the last five as pairs.
    DoubleGradSums,
}

impl Monoid {
    /// Bytes of the record of one channel.
    pub(crate) fn bytes(self) -> u64 {
        WORD_BYTES
            * match self {
                Self::Moments => 5,
                Self::GradSums => 4,
                Self::DoubleGradSums => 12,
            }
    }

    /// Bytes of the coefficients that are made of it, of one channel.
    pub(super) fn coefficient_bytes(self) -> u64 {
        WORD_BYTES
            * match self {
                Self::Moments => 0,
                Self::GradSums => PLANES,
                Self::DoubleGradSums => SECOND_PLANES,
            }
    }

    /// Bytes that a lane of so many channels keeps in workgroup memory: vectors, and counts that all share.
    pub(super) fn lane_bytes(self, channels: u64) -> u32 {
        let vectors = match self {
            Self::Moments | Self::GradSums => 4,
            Self::DoubleGradSums => 12,
        };
        let bytes = if channels == 1 { self.bytes() } else { 4 * channels * vectors };
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}
