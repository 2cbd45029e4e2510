//! The seven steps of batch normalization: for each, which shader files make its kernel and what it binds.

mod backward_apply;
mod backward_finalize;
mod backward_reduce;
mod finalize;
mod normalize;
mod running_stats;
mod statistics;

pub(crate) use backward_apply::backward_apply;
pub(crate) use backward_finalize::backward_finalize;
pub(crate) use backward_reduce::backward_reduce;
pub(crate) use finalize::{Source, finalize};
pub(crate) use normalize::normalize;
pub(crate) use running_stats::running_stats;
pub(crate) use statistics::statistics;

/// A step of batch normalization. Its stem names its shader, its host code, its function in the
/// reference, its tests, its row in the benchmark and its debug label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// x → one `Moments` record per channel and split.
    Statistics,
    /// Merges `Moments` records into mean, variance and 1/σ.
    Finalize,
    /// running ← (1 − m)·running + m·batch.
    RunningStats,
    /// y = γ·x̂ + β.
    Normalize,
    /// x, dy → one `GradSums` record per channel and split.
    BackwardReduce,
    /// Merges `GradSums` records into dγ, dβ and the two means that dx needs.
    BackwardFinalize,
    /// dx from dy and x.
    BackwardApply,
}

impl Step {
    /// All steps, in the order in which a training step runs them.
    pub const ALL: [Self; 7] = [
        Self::Statistics,
        Self::Finalize,
        Self::RunningStats,
        Self::Normalize,
        Self::BackwardReduce,
        Self::BackwardFinalize,
        Self::BackwardApply,
    ];

    /// The stem that names everything that belongs to the step.
    pub fn stem(self) -> &'static str {
        match self {
            Self::Statistics => "statistics",
            Self::Finalize => "finalize",
            Self::RunningStats => "running_stats",
            Self::Normalize => "normalize",
            Self::BackwardReduce => "backward_reduce",
            Self::BackwardFinalize => "backward_finalize",
            Self::BackwardApply => "backward_apply",
        }
    }

    /// The label of its pipelines and bind groups, for debuggers and profilers.
    pub fn label(self) -> &'static str {
        match self {
            Self::Statistics => "batch_norm.statistics",
            Self::Finalize => "batch_norm.finalize",
            Self::RunningStats => "batch_norm.running_stats",
            Self::Normalize => "batch_norm.normalize",
            Self::BackwardReduce => "batch_norm.backward_reduce",
            Self::BackwardFinalize => "batch_norm.backward_finalize",
            Self::BackwardApply => "batch_norm.backward_apply",
        }
    }

    /// Reads and writes of a full tensor that one run of the step makes. `reads_x` tells whether the
    /// gradient depends on x, as it does with batch statistics.
    pub(crate) fn moves(self, reads_x: bool) -> u32 {
        match self {
            Self::Statistics => 1,
            Self::Normalize | Self::BackwardReduce => 2,
            Self::BackwardApply => 2 + u32::from(reads_x),
            Self::Finalize | Self::RunningStats | Self::BackwardFinalize => 0,
        }
    }
}
