//! `backward_reduce`: x, dy → one `GradSums` record {Σdy, Σdy·x̂} per channel, group and split.

use super::Step;
use crate::plan::{Dispatch, Kernel, Monoid, Pass, Problem, Records, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave.
pub(crate) fn backward_reduce(problem: &Problem<'_>, pass: Pass) -> (Vec<Dispatch>, Records) {
    let traversal = problem.traverse(Work::Reduce(Monoid::GradSums));
    let mut kernel = problem.tensor_kernel(Step::BackwardReduce, BACKWARD_REDUCE, &traversal);
    problem.add_planes(&mut kernel, &traversal, PLANES_SAVED, Resource::Saved);
    for file in [EXACT, RECORDS, RECORD_OF_TILE, PAIRS, GRAD_SUMS, SUMS_OF_TILE, READ_X, READ_DY] {
        kernel.file(file);
    }
    kernel.file(traversal.tile.reduction()).bind(&[Resource::X, Resource::Dy, Resource::Records]);
    add_epilogue(problem, &mut kernel, pass);
    (problem.over_tensors(&traversal, &kernel), traversal.records)
}

/// The activation, and the residual if the gradient depends on it.
pub(super) fn add_epilogue(problem: &Problem<'_>, kernel: &mut Kernel, pass: Pass) {
    kernel.file(TAKEN_BACK);
    problem.add_activation(kernel);
    let residual = pass.residual && problem.options.gradient_depends_on_output();
    kernel.slot(residual, RESIDUAL_ADDED, &[Resource::Residual], RESIDUAL_NONE);
}
