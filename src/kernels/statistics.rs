//! `statistics`: x → one `Moments` record {count, carry, mean_hi, mean_lo, M2} per channel, group and split.

use super::Step;
use crate::plan::{Dispatch, Monoid, Problem, Records, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave.
pub(crate) fn statistics(problem: &Problem<'_>) -> (Vec<Dispatch>, Records) {
    let traversal = problem.traverse(Work::Reduce(Monoid::Moments));
    let mut kernel = problem.tensor_kernel(Step::Statistics, STATISTICS, &traversal);
    for file in [EXACT, RECORDS, RECORD_OF_TILE, MOMENTS, MOMENTS_OF_BLOCK, MOMENTS_OF_TILE, problem.block(), READ_X] {
        kernel.file(file);
    }
    kernel.file(traversal.tile.reduction()).bind(&[Resource::X, Resource::Records]);
    problem.add_activation(&mut kernel);
    (problem.over_tensors(&traversal, &kernel), traversal.records)
}
