//! `double_backward_reduce`: x, dy, ddx → one `DoubleGradSums` record per channel, group and split.

use super::Step;
use crate::plan::{Dispatch, Monoid, Problem, Records, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave.
pub(crate) fn double_backward_reduce(problem: &Problem<'_>) -> (Vec<Dispatch>, Records) {
    let walk = problem.traverse(Work::Reduce(Monoid::DoubleGradSums));
    let step = Step::DoubleBackwardReduce;
    let mut kernel = problem.tensor_kernel(step, DOUBLE_BACKWARD_REDUCE, &walk);
    problem.add_planes(&mut kernel, PLANES_SAVED, Resource::Saved);
    for file in [AFFINE, EXACT, PAIRS, DOUBLE_GRAD_SUMS, problem.block()] {
        kernel.file(file);
    }
    for file in [RECORDS, RECORD_OF_TILE, STORE_DOUBLE_GRAD_SUMS, STORE_PAIR, walk.tile.reduction()] {
        kernel.file(file);
    }
    problem.add_read(&mut kernel, &[Resource::X, Resource::Dy, Resource::Ddx]);
    kernel.bind(&[Resource::Records]);
    (problem.over_tensors(&walk, &kernel), walk.records)
}
