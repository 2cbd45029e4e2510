//! The ten steps of batch normalization, and the kernels that run several of them: for each, which shader files
//! make it and what it binds.

mod backward_apply;
mod backward_finalize;
mod backward_pipelined;
mod backward_reduce;
mod backward_resident;
mod double_backward_apply;
mod double_backward_finalize;
mod double_backward_reduce;
mod finalize;
mod forward_pipelined;
mod forward_resident;
mod normalize;
mod running_stats;
mod statistics;

pub(crate) use backward_apply::{backward_apply, moments_backward_apply};
pub(crate) use backward_finalize::{GradientOutcome, Sums, backward_finalize};
pub(crate) use backward_pipelined::backward_pipelined;
pub(crate) use backward_reduce::backward_reduce;
pub(crate) use backward_resident::backward_resident;
pub(crate) use double_backward_apply::double_backward_apply;
pub(crate) use double_backward_finalize::double_backward_finalize;
pub(crate) use double_backward_reduce::double_backward_reduce;
pub(crate) use finalize::{Outcome, Statistics, finalize};
pub(crate) use forward_pipelined::forward_pipelined;
pub(crate) use forward_resident::forward_resident;
pub(crate) use normalize::normalize;
pub(crate) use running_stats::running_stats;
pub(crate) use statistics::statistics;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $stem:literal),* $(,)?) => {
        /// A step of batch normalization. Its stem names its shader, its host code, its function in the
        /// reference, its tests, its row in the benchmark and its debug label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Step { $($(#[$doc])* $name),* }

        impl Step {
            /// All steps, in the order in which a training step runs them; then those that run several in one
            /// kernel.
            pub const ALL: [Self; 14] = [$(Self::$name),*];

            /// The stem that names everything that belongs to the step.
            pub fn stem(self) -> &'static str {
                match self { $(Self::$name => $stem),* }
            }

            /// The steps that it runs in one kernel: none if it is one itself, with a formula of its own.
            pub fn runs(self) -> &'static [Self] {
                match self {
                    Self::ForwardResident | Self::ForwardPipelined => {
                        &[Self::Statistics, Self::Finalize, Self::RunningStats, Self::Normalize]
                    }
                    Self::BackwardResident | Self::BackwardPipelined => {
                        &[Self::BackwardReduce, Self::BackwardFinalize, Self::BackwardApply]
                    }
                    _ => &[],
                }
            }

            /// Whether a dispatch of it writes one run of channels while it reduces the next.
            pub(crate) fn takes_runs(self) -> bool {
                matches!(self, Self::ForwardPipelined | Self::BackwardPipelined)
            }

            /// The label of its pipelines and bind groups, for debuggers and profilers.
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => concat!("batch_norm.", $stem)),* }
            }
        }
    };
}

steps! {
    /// x → one `Moments` record per channel, group and split.
    Statistics = "statistics",
    /// Merges `Moments` records into mean, variance and 1/σ.
    Finalize = "finalize",
    /// running ← (1 − m)·running + m·batch.
    RunningStats = "running_stats",
    /// y = activation(γ·x̂ + β + residual).
    Normalize = "normalize",
    /// x, dy → one `GradSums` record per channel, group and split.
    BackwardReduce = "backward_reduce",
    /// Merges `GradSums` records into dγ, dβ and the two means that dx needs.
    BackwardFinalize = "backward_finalize",
    /// dx from dy and x.
    BackwardApply = "backward_apply",
    /// x, dy, ddx → one `DoubleGradSums` record per channel, group and split.
    DoubleBackwardReduce = "double_backward_reduce",
    /// Merges `DoubleGradSums` records into the gradient of γ and the means that the next step needs.
    DoubleBackwardFinalize = "double_backward_finalize",
    /// The gradients of dy and x from the cotangent of dx.
    DoubleBackwardApply = "double_backward_apply",
    /// `statistics` to `normalize` in one kernel, where a workgroup has all values of its channels.
    ForwardResident = "forward_resident",
    /// The same over runs of channels, one normalized while the statistics of the next are taken.
    ForwardPipelined = "forward_pipelined",
    /// `backward_reduce` to `backward_apply` in one kernel, where a workgroup has all values of its channels.
    BackwardResident = "backward_resident",
    /// The same over runs of channels, one written while the sums of the next are taken.
    BackwardPipelined = "backward_pipelined",
}
