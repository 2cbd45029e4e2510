//! `statistics`: x → one `Moments` record {count, mean_hi, mean_lo, M2} per channel and split.

use super::Step;
use crate::plan::{Dispatch, Kernel, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave for each channel.
pub(crate) fn statistics(problem: &Problem<'_>) -> (Vec<Dispatch>, u64) {
    let traversal = problem.traverse(Work::Reduce);
    let kernel = Kernel {
        step: Step::Statistics,
        files: vec![
            PARAMS,
            TILE,
            traversal.tile.vector(),
            problem.view.file(),
            EXACT,
            problem.subtract(),
            RECORDS,
            MOMENTS,
            MOMENTS_OF_BLOCK,
            traversal.tile.reduction(),
            STATISTICS,
        ],
        resources: vec![Resource::X, Resource::Records],
    };
    (problem.over_tensors(&traversal, &kernel), traversal.splits)
}
