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
    problem.add_planes(&mut kernel, &walk, PLANES_SAVED, Resource::Saved);
    for file in [AFFINE, EXACT, PAIRS, DOUBLE_GRAD_SUMS, READ_X, READ_DY, READ_DDX, problem.block()] {
        kernel.file(file);
    }
    for file in [RECORDS, RECORD_OF_TILE, STORE_DOUBLE_GRAD_SUMS, STORE_PAIR, walk.tile.reduction()] {
        kernel.file(file);
    }
    kernel.bind(&[Resource::X, Resource::Dy, Resource::Ddx, Resource::Records]);
    (problem.over_tensors(&walk, &kernel), walk.records)
}
