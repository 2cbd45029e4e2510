//! What a whole pass is given: the operator with all its options.

use std::ops::Range;

use super::{Moments, ReferenceError, Segment, Statistics, activate, finalize, statistics};
use crate::{Activation, Order, Shape};

/// γ, β and ε.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters<'a> {
    /// γ, `[C]`; absent: 1.
    pub weight: Option<&'a [f32]>,
    /// β, `[C]`; absent: 0.
    pub bias: Option<&'a [f32]>,
    /// ε, added to the variance.
    pub epsilon: f64,
}

/// Which statistics normalize.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source<'a> {
    /// Training: those of the batch, which `x` reaches the loss through.
    Batch,
    /// Evaluation, frozen or given statistics: these, held constant.
    Held {
        /// μ, `[C]`.
        mean: &'a [f32],
        /// v, `[C]`.
        variance: &'a [f32],
    },
}

/// The operator with its options and everything it takes besides `x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Problem<'a> {
    /// The shape of `x`.
    pub shape: Shape,
    /// γ, β and ε.
    pub parameters: Parameters<'a>,
    /// Which statistics normalize.
    pub source: Source<'a>,
    /// A function of single elements.
    pub activation: Activation,
    /// Whether the activation comes after the normalization, or before.
    pub order: Order,
    /// What is added to γ·x̂ + β, in the layout of `x`; absent: 0.
    pub residual: Option<&'a [f32]>,
    /// Which positions count, `n·S + s`; absent: all.
    pub mask: Option<&'a [bool]>,
    /// Every run of so many samples has statistics of its own; absent: the batch has.
    pub ghost_batch: Option<usize>,
}

/// What normalized a ghost batch, or the batch if there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What normalized.
    pub statistics: Statistics,
    /// The moments that the statistics are of, for [`running_stats`](super::running_stats); none if they
    /// are held.
    pub moments: Option<Moments>,
}

impl<'a> Problem<'a> {
    /// Batch normalization alone: no activation, residual, mask or ghost batches.
    pub fn new(shape: Shape, parameters: Parameters<'a>, source: Source<'a>) -> Self {
        Self {
            shape,
            parameters,
            source,
            activation: Activation::None,
            order: Order::Post,
            residual: None,
            mask: None,
            ghost_batch: None,
        }
    }

    /// The positions that count in any group.
    pub(super) fn all(&self) -> Result<Segment<'a>, ReferenceError> {
        Segment::new(self.shape, self.mask)
    }

    /// The groups, each with its range of elements.
    pub(super) fn groups(&self) -> Result<Vec<(Range<usize>, Segment<'a>)>, ReferenceError> {
        self.all()?.groups(self.ghost_batch)
    }

    /// The activation before the normalization, if any.
    pub(super) fn before(&self) -> Activation {
        if self.order == Order::Pre { self.activation } else { Activation::None }
    }

    /// The activation after the normalization, if any.
    pub(super) fn after(&self) -> Activation {
        if self.order == Order::Post { self.activation } else { Activation::None }
    }

    /// What is normalized: act(x) if the activation comes before, else x.
    pub(super) fn normalized(&self, x: &[f32]) -> Result<Vec<f64>, ReferenceError> {
        let all = self.all()?;
        all.check("x", x)?;
        Ok(all.map(|_, i| activate(self.before(), x[i].into())))
    }

    /// What normalizes a group of these values.
    pub(super) fn group(&self, values: &[f64], segment: &Segment<'_>) -> Result<Group, ReferenceError> {
        let epsilon = self.parameters.epsilon;
        match self.source {
            // Too few by shape. How many a mask leaves depends on data: one of them is normalized to β.
            Source::Batch if segment.shape().values_per_channel() < 2 => {
                Err(ReferenceError::TooFewValues { actual: segment.shape().values_per_channel() })
            }
            Source::Batch => {
                let moments = statistics(values, segment)?;
                Ok(Group { statistics: finalize(&moments, epsilon), moments: Some(moments) })
            }
            Source::Held { mean, variance } => {
                let mean = segment.per_channel("mean", Some(mean), 0.0)?;
                let variance = segment.per_channel("variance", Some(variance), 1.0)?;
                Ok(Group { statistics: Statistics::held(mean, variance, epsilon), moments: None })
            }
        }
    }
}

/// The moments of every group whatever normalizes: what running statistics take in, one group after the
/// other.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn group_moments(problem: &Problem<'_>, x: &[f32]) -> Result<Vec<Moments>, ReferenceError> {
    let values = problem.normalized(x)?;
    let groups = problem.groups()?;
    groups.iter().map(|(range, segment)| statistics(&values[range.clone()], segment)).collect()
}
