//! `backward_reduce`: x, dy → one `GradSums` record {Σdy, Σdy·x̂} per channel and split.

use super::Step;
use crate::plan::{Dispatch, Kernel, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave for each channel.
pub(crate) fn backward_reduce(problem: &Problem<'_>) -> (Vec<Dispatch>, u64) {
    let traversal = problem.traverse(Work::Reduce);
    let kernel = Kernel {
        step: Step::BackwardReduce,
        files: vec![
            PARAMS,
            TILE,
            traversal.tile.vector(),
            problem.view.file(),
            EXACT,
            problem.subtract(),
            RECORDS,
            COEFFICIENTS,
            GRAD_SUMS,
            traversal.tile.reduction(),
            BACKWARD_REDUCE,
        ],
        resources: vec![Resource::X, Resource::Dy, Resource::Saved, Resource::Records],
    };
    (problem.over_tensors(&traversal, &kernel), traversal.splits)
}
