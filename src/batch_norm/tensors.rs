//! The tensors that a pass is given.

use crate::buffer::BufferRange;
use crate::plan::Accumulation;
use crate::state::{RunningStatistics, SavedStatistics};

/// The tensors of a forward pass.
#[derive(Clone, Debug)]
pub struct ForwardTensors<'a> {
    /// Input, N·C·S f32.
    pub x: BufferRange,
    /// Output, N·C·S f32; may be exactly `x`.
    pub y: BufferRange,
    /// γ, `[C]` f32; given exactly if [`Options::weight`](crate::Options::weight).
    pub weight: Option<BufferRange>,
    /// β, `[C]` f32; given exactly if [`Options::bias`](crate::Options::bias).
    pub bias: Option<BufferRange>,
    /// Given exactly if [`Options::running_statistics`](crate::Options::running_statistics). In
    /// evaluation these normalize, whatever they are: statistics of another data set, for example.
    pub running: Option<&'a RunningStatistics>,
    /// Where the statistics go that the backward pass needs.
    pub saved: &'a SavedStatistics,
    /// [`BatchNorm::workspace_bytes`](super::BatchNorm::workspace_bytes) for the steps to exchange what they compute; the library's own
    /// if it is `None`.
    pub workspace: Option<BufferRange>,
}

/// The tensors of a backward pass; the gradients that are `None` are not computed.
#[derive(Clone, Debug)]
pub struct BackwardTensors<'a> {
    /// The input of the forward pass, N·C·S f32: not overwritten since.
    pub x: BufferRange,
    /// Gradient of the loss with respect to y, N·C·S f32.
    pub dy: BufferRange,
    /// γ, `[C]` f32; given exactly if [`Options::weight`](crate::Options::weight).
    pub weight: Option<BufferRange>,
    /// What the forward pass saved.
    pub saved: &'a SavedStatistics,
    /// Gradient with respect to x, N·C·S f32; may be exactly `dy`.
    pub dx: Option<BufferRange>,
    /// Gradient with respect to γ, `[C]` f32, and whether it is added to what is there.
    pub dweight: Option<(BufferRange, Accumulation)>,
    /// Gradient with respect to β, `[C]` f32, and whether it is added to what is there.
    pub dbias: Option<(BufferRange, Accumulation)>,
    /// As in [`ForwardTensors::workspace`].
    pub workspace: Option<BufferRange>,
}
