//! `backward_reduce`: x, dy → one `GradSums` record {Σdy, Σdy·x̂} per channel, group and split.

use super::Step;
use crate::plan::{Dispatch, Kernel, Monoid, Pass, Problem, Records, Walk, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave.
pub(crate) fn backward_reduce(problem: &Problem<'_>, pass: Pass) -> (Vec<Dispatch>, Records) {
    let walk = problem.traverse(Work::Reduce(Monoid::GradSums));
    let mut kernel = problem.tensor_kernel(Step::BackwardReduce, BACKWARD_REDUCE, &walk);
    problem.add_planes(&mut kernel, PLANES_SAVED, Resource::Saved);
    add_sums(&mut kernel, &walk);
    problem.add_read(&mut kernel, &[Resource::X, Resource::Dy]);
    add_record(&mut kernel);
    add_epilogue(problem, &mut kernel, pass);
    (problem.over_tensors(&walk, &kernel), walk.records)
}

/// Adds what takes the sums of a tile, or of all values of a channel.
pub(super) fn add_sums(kernel: &mut Kernel, walk: &Walk) {
    for file in [EXACT, PAIRS, GRAD_SUMS, SUMS_OF_TILE, walk.tile.reduction()] {
        kernel.file(file);
    }
}

/// Adds what leaves the sums of a tile as a record.
pub(super) fn add_record(kernel: &mut Kernel) {
    for file in [RECORDS, RECORD_OF_TILE, STORE_GRAD_SUMS, STORE_PAIR] {
        kernel.file(file);
    }
    kernel.bind(&[Resource::Records]);
}

/// The activation, and the residual if the gradient depends on it.
pub(super) fn add_epilogue(problem: &Problem<'_>, kernel: &mut Kernel, pass: Pass) {
    kernel.file(AFFINE).file(TAKEN_BACK);
    problem.add_activation(kernel);
    let residual = pass.residual && problem.options.gradient_depends_on_output();
    problem.add_residual(kernel, residual);
}
