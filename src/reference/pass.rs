//! The steps composed into a forward and a backward pass.

use super::{
    Group, Problem, ReferenceError, activate, activation_gradient, backward_apply, backward_finalize,
    backward_reduce, normalize,
};

/// What the forward pass gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// The output, in the layout of `x`; 0 where the mask hides.
    pub y: Vec<f64>,
    /// γ·x̂ + β + residual, in the layout of `x`: what enters an activation that comes after.
    pub z: Vec<f64>,
    /// What normalized, for every ghost batch in order; one group if there are none.
    pub groups: Vec<Group>,
}

/// What the backward pass gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Backward {
    /// The gradient of `x`, in its layout; 0 where the mask hides.
    pub dx: Vec<f64>,
    /// dγ, `[C]`, over all groups: there whether `weight` is or not.
    pub dweight: Vec<f64>,
    /// dβ, `[C]`, over all groups: there whether `bias` is or not.
    pub dbias: Vec<f64>,
    /// The gradient of the residual, in the layout of `x`, which is `g`; empty without a residual.
    pub dresidual: Vec<f64>,
    /// The gradient of the mean that is held, `[C]`; empty with the statistics of the batch.
    pub dmean: Vec<f64>,
    /// The gradient of the variance that is held, `[C]`; empty with the statistics of the batch.
    pub dvariance: Vec<f64>,
    /// g = ∂L/∂z, in the layout of `x`: dy through an activation that comes after; 0 where the mask hides.
    pub g: Vec<f64>,
}

/// The forward pass, u being x, or act(x) if the activation comes before. For each group `statistics` and
/// `finalize` if the batch is the source, then `normalize`; z = γ·x̂ + β + residual; y = act(z) if the
/// activation comes after, else z.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says, a ghost batch has no samples, or
/// the batch is the source and a group's shape has one value per channel.
pub fn forward(problem: &Problem<'_>, x: &[f32]) -> Result<Forward, ReferenceError> {
    forward_of(problem, &problem.normalized(x)?)
}

fn forward_of(problem: &Problem<'_>, values: &[f64]) -> Result<Forward, ReferenceError> {
    let parameters = &problem.parameters;
    let all = problem.all()?;
    let (mut z, mut groups) = (Vec::with_capacity(values.len()), Vec::new());
    for (range, segment) in problem.groups()? {
        let values = &values[range];
        let group = problem.group(values, &segment)?;
        z.extend(normalize(values, &segment, &group.statistics, parameters.weight, parameters.bias)?);
        groups.push(group);
    }
    if let Some(residual) = problem.residual {
        all.check("residual", residual)?;
        z = all.map(|_, i| z[i] + f64::from(residual[i]));
    }
    let y = all.map(|_, i| activate(problem.after(), z[i]));
    Ok(Forward { y, z, groups })
}

/// The backward pass from `dy`, the gradient of the loss with respect to y: g = dy·act′(z) if the activation
/// comes after, else dy; for each group `backward_reduce`, `backward_finalize` and `backward_apply`, which
/// make the gradient of u; dx is that, times act′(x) if the activation comes before. The forward pass is
/// taken again.
///
/// # Errors
/// As [`forward`].
pub fn backward(problem: &Problem<'_>, x: &[f32], dy: &[f32]) -> Result<Backward, ReferenceError> {
    let (all, weight) = (problem.all()?, problem.parameters.weight);
    let values = problem.normalized(x)?;
    all.check("dy", dy)?;
    let Forward { z, groups, .. } = forward_of(problem, &values)?;
    let g = all.map(|_, i| activation_gradient(problem.after(), z[i], dy[i].into()));

    let mut du = Vec::with_capacity(x.len());
    let [mut dweight, mut dbias, mut dmean, mut dvariance] = [const { Vec::new() }; 4];
    for ((range, segment), Group { statistics, .. }) in problem.groups()?.into_iter().zip(&groups) {
        let (values, g) = (&values[range.clone()], &g[range]);
        let sums = backward_reduce(values, g, &segment, statistics)?;
        let gradients = backward_finalize(&sums, statistics, weight)?;
        du.extend(backward_apply(values, g, &segment, statistics, weight, &gradients)?);
        add(&mut dweight, &gradients.dweight);
        add(&mut dbias, &gradients.dbias);
        if statistics.constant {
            add(&mut dmean, &gradients.dmean);
            add(&mut dvariance, &gradients.dvariance);
        }
    }
    let dx = all.map(|_, i| activation_gradient(problem.before(), x[i].into(), du[i]));
    let dresidual = problem.residual.map_or_else(Vec::new, |_| g.clone());
    Ok(Backward { dx, dweight, dbias, dresidual, dmean, dvariance, g })
}

/// Adds a group's results to those of the groups before, if there were any.
pub(super) fn add(total: &mut Vec<f64>, group: &[f64]) {
    total.resize(group.len(), 0.0);
    total.iter_mut().zip(group).for_each(|(total, group)| *total += group);
}
