//! Why a pass is refused.

use crate::buffer::TensorError;
use crate::context::ProgramError;
use crate::device::DeviceError;
use crate::options::Mode;
use crate::plan::PlanError;
use crate::program::BindError;
use crate::shape::Shape;
use thiserror::Error;

/// Why a pass was not bound or recorded; then nothing was recorded.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BatchNormError {
    /// The shape has another number of channels than the layer.
    #[error(
        "{shape} has {actual} channels, expected {expected} as in the layer's options: check the layout (channels first or last)"
    )]
    Channels {
        /// The shape as given.
        shape: Shape,
        /// Its channels.
        actual: usize,
        /// The layer's channels.
        expected: usize,
    },
    /// The gradient has another shape than the input.
    #[error("dy is {dy}, expected {x} as x: give the gradient of the y that x led to")]
    Shapes {
        /// The shape of x.
        x: Shape,
        /// The shape of dy.
        dy: Shape,
    },
    /// Training needs a variance.
    #[error(
        "{shape} has 1 value per channel, expected more than 1 in training: use a larger batch, or Mode::EVALUATION"
    )]
    OneValuePerChannel {
        /// The shape as given.
        shape: Shape,
    },
    /// Evaluation normalizes with running statistics, and the layer keeps none.
    #[error(
        "evaluation needs running statistics, and the options have running_statistics = false: set it, or use Mode::TRAINING"
    )]
    NoRunningStatistics,
    /// No forward pass was recorded that left the saved statistics.
    #[error(
        "the saved statistics belong to no forward pass, expected one of {expected}: record the forward pass first"
    )]
    NoForward {
        /// The shape of the backward pass.
        expected: Shape,
    },
    /// The saved statistics were left by a forward pass on another shape or in another mode.
    #[error(
        "the saved statistics belong to a forward pass of {actual} in {actual_mode:?}, expected {expected} in {expected_mode:?}: keep one SavedStatistics for each pass that waits for its backward pass"
    )]
    OtherForward {
        /// The shape of the forward pass.
        actual: Shape,
        /// Its mode.
        actual_mode: Mode,
        /// The shape of the backward pass.
        expected: Shape,
        /// Its mode.
        expected_mode: Mode,
    },
    /// A tensor cannot be bound.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The shape is beyond what the kernels can address.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl From<ProgramError> for BatchNormError {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::Plan(error) => error.into(),
            ProgramError::Device(error) => error.into(),
        }
    }
}

impl From<BindError> for BatchNormError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Tensor(error) => error.into(),
            BindError::Device(error) => error.into(),
        }
    }
}
