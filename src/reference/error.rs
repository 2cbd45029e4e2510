//! Why a step has no result.

use thiserror::Error;

use crate::{Shape, ShapeError};

/// Why a step has no result.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferenceError {
    /// A slice does not have as many values as the shape says.
    #[error("{tensor} has {actual} values, expected {expected} for the shape {shape}")]
    Length {
        /// What the slice holds.
        tensor: &'static str,
        /// How many values it has.
        actual: usize,
        /// How many it should have.
        expected: usize,
        /// The shape of `x`.
        shape: Shape,
    },
    /// Slices with one value per channel differ in length.
    #[error("{tensor} has {actual} channels, expected {expected}: use the results of one shape together")]
    Channels {
        /// What the slice holds.
        tensor: &'static str,
        /// How many channels it has.
        actual: usize,
        /// How many it should have.
        expected: usize,
    },
    /// The unbiased variance of fewer than two values is undefined.
    #[error("{actual} value per channel, expected at least 2 in training: use a larger batch or evaluate")]
    TooFewValues {
        /// N·S, of the smallest ghost batch if there are any.
        actual: usize,
    },
    /// A ghost batch has no shape: it has no samples.
    #[error("ghost batch: {0}")]
    GhostBatch(ShapeError),
    /// There is no batch with values to estimate from.
    #[error("no batch has any values, expected at least one to estimate the population from")]
    NoBatches,
    /// The double backward pass is that of the operator alone.
    #[error("double backward with an activation, expected none: differentiate the activation on its own")]
    Activation,
}

pub(super) fn check_channels(
    tensor: &'static str,
    actual: usize,
    expected: usize,
) -> Result<(), ReferenceError> {
    if actual == expected { Ok(()) } else { Err(ReferenceError::Channels { tensor, actual, expected }) }
}
