//! The tensors that a pass is given.

use crate::buffer::BufferRange;
use crate::mask::Mask;
use crate::plan::Accumulation;
use crate::state::{GivenStatistics, RunningStatistics, SavedStatistics};

/// The tensors of a forward pass. Elements of x, y and the residual have [`Options::dtype`](
/// crate::Options::dtype), everything per channel is f32.
#[derive(Clone, Debug)]
pub struct ForwardTensors<'a> {
    /// Input, N·C·S elements.
    pub x: BufferRange,
    /// Output, N·C·S elements; may be exactly `x`.
    pub y: BufferRange,
    /// γ, `[C]` f32; given exactly if [`Options::weight`](crate::Options::weight).
    pub weight: Option<BufferRange>,
    /// β, `[C]` f32; given exactly if [`Options::bias`](crate::Options::bias).
    pub bias: Option<BufferRange>,
    /// Given exactly if [`Options::running_statistics`](crate::Options::running_statistics). In
    /// evaluation these normalize, whatever they are: statistics of another data set, for example.
    pub running: Option<&'a RunningStatistics>,
    /// Given exactly if [`Source::Given`](crate::Source::Given).
    pub given: Option<&'a GivenStatistics>,
    /// N·C·S elements that are added before an activation after the normalization.
    pub residual: Option<BufferRange>,
    /// Which positions count; all without.
    pub mask: Option<&'a Mask>,
    /// Where the statistics go that the backward pass needs.
    pub saved: &'a SavedStatistics,
    /// [`BatchNorm::workspace_bytes`](super::BatchNorm::workspace_bytes) for the steps to exchange what they
    /// compute; the library's own if it is `None`.
    pub workspace: Option<BufferRange>,
}

impl<'a> ForwardTensors<'a> {
    /// These, and none of the others.
    pub fn new(x: impl Into<BufferRange>, y: impl Into<BufferRange>, saved: &'a SavedStatistics) -> Self {
        Self {
            x: x.into(),
            y: y.into(),
            weight: None,
            bias: None,
            running: None,
            given: None,
            residual: None,
            mask: None,
            saved,
            workspace: None,
        }
    }
}

/// The tensors of a backward pass; the gradients that are `None` are not computed. γ and β are those that the
/// forward pass has saved.
#[derive(Clone, Debug)]
pub struct BackwardTensors<'a> {
    /// The input of the forward pass, N·C·S elements: not overwritten since.
    pub x: BufferRange,
    /// Gradient of the loss with respect to y, N·C·S elements.
    pub dy: BufferRange,
    /// The residual of the forward pass, if it had one: not overwritten since.
    pub residual: Option<BufferRange>,
    /// The mask of the forward pass, if it had one.
    pub mask: Option<&'a Mask>,
    /// What the forward pass saved.
    pub saved: &'a SavedStatistics,
    /// Gradient with respect to x, N·C·S elements; may be exactly `dy`.
    pub dx: Option<BufferRange>,
    /// Gradient with respect to the residual, N·C·S elements.
    pub dresidual: Option<BufferRange>,
    /// Gradient with respect to γ, `[C]` f32, and whether it is added to what is there.
    pub dweight: Option<(BufferRange, Accumulation)>,
    /// Gradient with respect to β, `[C]` f32, and whether it is added to what is there.
    pub dbias: Option<(BufferRange, Accumulation)>,
    /// Gradients with respect to given mean and variance: only with [`Source::Given`](crate::Source::Given).
    pub dgiven: Option<&'a GivenStatistics>,
    /// As in [`ForwardTensors::workspace`].
    pub workspace: Option<BufferRange>,
}

impl<'a> BackwardTensors<'a> {
    /// These, and none of the others.
    pub fn new(x: impl Into<BufferRange>, dy: impl Into<BufferRange>, saved: &'a SavedStatistics) -> Self {
        Self {
            x: x.into(),
            dy: dy.into(),
            residual: None,
            mask: None,
            saved,
            dx: None,
            dresidual: None,
            dweight: None,
            dbias: None,
            dgiven: None,
            workspace: None,
        }
    }
}

/// The tensors of [`BatchNorm::bind_statistics`](super::BatchNorm::bind_statistics).
#[derive(Clone, Debug)]
pub struct StatisticsTensors<'a> {
    /// Input, N·C·S elements.
    pub x: BufferRange,
    /// Which positions count; all without.
    pub mask: Option<&'a Mask>,
    /// What takes in the statistics; none if they are only wanted in `saved`.
    pub running: Option<&'a RunningStatistics>,
    /// Where the statistics go.
    pub saved: &'a SavedStatistics,
    /// As in [`ForwardTensors::workspace`].
    pub workspace: Option<BufferRange>,
}

/// The tensors of [`BatchNorm::bind_moments_backward`](super::BatchNorm::bind_moments_backward).
#[derive(Clone, Debug)]
pub struct MomentsBackwardTensors<'a> {
    /// Input of the statistics, N·C·S elements: not overwritten since.
    pub x: BufferRange,
    /// The mask of the statistics, if they had one.
    pub mask: Option<&'a Mask>,
    /// What [`BatchNorm::bind_statistics`](super::BatchNorm::bind_statistics) saved.
    pub saved: &'a SavedStatistics,
    /// Gradients of the loss with respect to mean and variance.
    pub dmoments: &'a GivenStatistics,
    /// Gradient with respect to x, N·C·S elements.
    pub dx: BufferRange,
    /// As in [`ForwardTensors::workspace`].
    pub workspace: Option<BufferRange>,
}

/// The tensors of [`BatchNorm::bind_fold`](super::BatchNorm::bind_fold).
#[derive(Clone, Debug)]
pub struct FoldTensors<'a> {
    /// The statistics to fold.
    pub statistics: &'a GivenStatistics,
    /// γ, `[C]` f32; given exactly if [`Options::weight`](crate::Options::weight).
    pub weight: Option<BufferRange>,
    /// β, `[C]` f32; given exactly if [`Options::bias`](crate::Options::bias).
    pub bias: Option<BufferRange>,
    /// γ/σ, `[C]` f32.
    pub scale: BufferRange,
    /// β − γ·mean/σ, `[C]` f32.
    pub offset: BufferRange,
}

/// The tensors of a double backward pass.
#[derive(Clone, Debug)]
pub struct DoubleBackwardTensors<'a> {
    /// The input of the forward pass.
    pub x: BufferRange,
    /// The gradient that the backward pass was given.
    pub dy: BufferRange,
    /// The cotangent of dx, N·C·S elements.
    pub ddx: BufferRange,
    /// The cotangent of dγ, `[C]` f32; 0 without.
    pub ddweight: Option<BufferRange>,
    /// The cotangent of dβ, `[C]` f32; 0 without.
    pub ddbias: Option<BufferRange>,
    /// The mask of the forward pass, if it had one.
    pub mask: Option<&'a Mask>,
    /// What the forward pass saved.
    pub saved: &'a SavedStatistics,
    /// Gradient with respect to dy, N·C·S elements.
    pub grad_dy: BufferRange,
    /// Gradient with respect to x, N·C·S elements.
    pub grad_x: BufferRange,
    /// Gradient with respect to γ, `[C]` f32.
    pub grad_weight: Option<BufferRange>,
    /// As in [`ForwardTensors::workspace`].
    pub workspace: Option<BufferRange>,
}
