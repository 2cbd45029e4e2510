//! `double_backward_reduce`: x, dy, ddx → one `DoubleGradSums` record per channel, group and split.

use super::Step;
use crate::plan::{Dispatch, Monoid, Problem, Records, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave.
pub(crate) fn double_backward_reduce(problem: &Problem<'_>) -> (Vec<Dispatch>, Records) {
    let traversal = problem.traverse(Work::Reduce(Monoid::DoubleGradSums));
    let step = Step::DoubleBackwardReduce;
    let mut kernel = problem.tensor_kernel(step, DOUBLE_BACKWARD_REDUCE, &traversal);
    problem.add_planes(&mut kernel, &traversal, PLANES_SAVED, Resource::Saved);
    for file in
        [EXACT, RECORDS, RECORD_OF_TILE, PAIRS, DOUBLE_GRAD_SUMS, READ_X, READ_DY, READ_DDX, problem.block()]
    {
        kernel.file(file);
    }
    kernel.file(traversal.tile.reduction());
    kernel.bind(&[Resource::X, Resource::Dy, Resource::Ddx, Resource::Records]);
    (problem.over_tensors(&traversal, &kernel), traversal.records)
}
