//! What can be wrong with the arguments.

use thiserror::Error;

/// Why a pass was refused. Nothing has been written then.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BaselineError {
    /// A slice does not have the length that the shape asks for.
    #[error("{name} has {actual} elements, expected {expected}: {rule}")]
    Length {
        /// The argument, as the function names it.
        name: &'static str,
        /// Its length, in elements.
        actual: usize,
        /// The length it must have, in elements.
        expected: usize,
        /// What that length is: `N·C·S` or `C`.
        rule: &'static str,
    },
    /// Every channel has one value, whose variance says nothing.
    #[error("each channel has 1 value, expected at least 2 in training: use a larger batch or forward_eval")]
    OneValue,
    /// ε is negative, infinite or NaN.
    #[error("eps is {eps}, expected a finite value of at least 0, such as 1e-5")]
    Epsilon {
        /// ε as given.
        eps: f32,
    },
}

/// Refuses a `name` of `actual` elements where the tensor has `expected`.
pub(crate) fn check_tensor(name: &'static str, actual: usize, expected: usize) -> Result<(), BaselineError> {
    check(name, actual, expected, "one value for each element, N·C·S")
}

/// Refuses a `name` of `actual` elements where there are `expected` channels.
pub(crate) fn check_channels(
    name: &'static str,
    actual: usize,
    expected: usize,
) -> Result<(), BaselineError> {
    check(name, actual, expected, "one value for each channel, C")
}

/// Refuses an ε that is no variance.
pub(crate) fn check_epsilon(eps: f32) -> Result<(), BaselineError> {
    if eps.is_finite() && eps >= 0.0 { Ok(()) } else { Err(BaselineError::Epsilon { eps }) }
}

fn check(
    name: &'static str,
    actual: usize,
    expected: usize,
    rule: &'static str,
) -> Result<(), BaselineError> {
    if actual == expected { Ok(()) } else { Err(BaselineError::Length { name, actual, expected, rule }) }
}
