//! Why a pass is refused.

use crate::buffer::TensorError;
use crate::context::ProgramError;
use crate::device::DeviceError;
use crate::elementwise::{Activation, Dtype};
use crate::mask::MaskError;
use crate::mode::Source;
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
    /// A tensor has another shape than x.
    #[error("{tensor} is {actual}, expected {expected} as x: give tensors of one shape together")]
    Shapes {
        /// The tensor's name.
        tensor: &'static str,
        /// Its shape.
        actual: Shape,
        /// The shape of x.
        expected: Shape,
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
    /// There is no population estimate of no batches.
    #[error(
        "the population statistics of 0 batches were asked for, expected at least 1 batch: give the batches to estimate from"
    )]
    NoBatches,
    /// No forward pass was recorded that left the saved statistics.
    #[error(
        "the saved statistics belong to no forward pass, expected one of {expected}: record the forward pass first"
    )]
    NoForward {
        /// Shape, source and mask of the backward pass.
        expected: String,
    },
    /// The saved statistics were left by a forward pass on another shape, or with another source or mask.
    #[error(
        "the saved statistics belong to a forward pass of {actual}, expected {expected}: keep one SavedStatistics for each pass that waits for its backward pass"
    )]
    OtherForward {
        /// Shape, source and mask of the forward pass.
        actual: String,
        /// Shape, source and mask of the backward pass.
        expected: String,
    },
    /// The last ghost batch has a single value of each channel.
    #[error(
        "the last ghost batch of {shape} has 1 value per channel, expected more than 1 in training with ghost batches of {ghost_batch} samples: choose a size that leaves more"
    )]
    OneValuePerGhostBatch {
        /// The shape as given.
        shape: Shape,
        /// Samples of the other ghost batches.
        ghost_batch: usize,
    },
    /// Gradients of statistics that nobody gave.
    #[error(
        "the gradients of given statistics were asked for in a pass with {actual:?} statistics: use Mode::GIVEN"
    )]
    NoGivenStatistics {
        /// The source as given.
        actual: Source,
    },
    /// The double backward pass is that of the plain normalization.
    #[error(
        "the double backward pass of a layer with {actual:?} was asked for, expected Activation::None: differentiate the activation by itself"
    )]
    Activation {
        /// The activation of the layer.
        actual: Activation,
    },
    /// The tensor's elements are not those of the layer's options.
    #[error(
        "{tensor} has elements of {actual:?}, expected {expected:?} as in the layer's options: set Options::dtype, or convert the tensor"
    )]
    Dtype {
        /// The tensor's name.
        tensor: &'static str,
        /// Its element type.
        actual: Dtype,
        /// The element type of the options.
        expected: Dtype,
    },
    /// The mask does not fit.
    #[error(transparent)]
    Mask(#[from] MaskError),
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
