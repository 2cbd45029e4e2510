//! The steps of the double backward pass, composed.

use super::{
    Problem, ReferenceError, double_backward_apply, double_backward_finalize, double_backward_reduce,
    pass::add,
};
use crate::Activation;

/// What the double backward pass gives: the gradients of ⟨dx, ddx⟩ + ⟨dγ, ddweight⟩ + ⟨dβ, ddbias⟩.
#[derive(Clone, Debug, PartialEq)]
pub struct DoubleBackward {
    /// With respect to `dy`, in the layout of `x`; 0 where the mask hides.
    pub grad_dy: Vec<f64>,
    /// With respect to `x`, in its layout; 0 where the mask hides.
    pub grad_x: Vec<f64>,
    /// With respect to γ, `[C]`, over all groups: there whether `weight` is or not.
    pub grad_weight: Vec<f64>,
}

/// The double backward pass of batch normalization without an activation: for each group
/// `double_backward_reduce`, `double_backward_finalize` and `double_backward_apply`. A residual has no part
/// in it, since no gradient depends on it; nor has β.
///
/// # Errors
/// As [`forward`](super::forward), and [`ReferenceError::Activation`] if there is an activation.
pub fn double_backward(
    problem: &Problem<'_>,
    x: &[f32],
    dy: &[f32],
    ddx: &[f32],
    ddweight: &[f32],
    ddbias: &[f32],
) -> Result<DoubleBackward, ReferenceError> {
    if problem.activation != Activation::None {
        return Err(ReferenceError::Activation);
    }
    let (all, weight) = (problem.all()?, problem.parameters.weight);
    for (tensor, slice) in [("dy", dy), ("ddx", ddx)] {
        all.check(tensor, slice)?;
    }
    let values = problem.normalized(x)?;
    let (mut grad_dy, mut grad_x, mut grad_weight) = (Vec::new(), Vec::new(), Vec::new());
    for (range, segment) in problem.groups()? {
        let statistics = problem.group(&values[range.clone()], &segment)?.statistics;
        let (x, dy, ddx) = (&x[range.clone()], &dy[range.clone()], &ddx[range]);
        let sums = double_backward_reduce(x, dy, ddx, &segment, &statistics)?;
        let gradients = double_backward_finalize(&sums, &statistics, weight, ddweight, ddbias)?;
        let (of_dy, of_x) = double_backward_apply(x, dy, ddx, &segment, &statistics, &gradients)?;
        grad_dy.extend(of_dy);
        grad_x.extend(of_x);
        add(&mut grad_weight, &gradients.grad_weight);
    }
    Ok(DoubleBackward { grad_dy, grad_x, grad_weight })
}
