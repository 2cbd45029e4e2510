//! `statistics`: x → one `Moments` record {count, carry, mean_hi, mean_lo, M2} per channel, group and split.

use super::Step;
use crate::plan::{Dispatch, Kernel, Monoid, Problem, Records, Walk, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave.
pub(crate) fn statistics(problem: &Problem<'_>) -> (Vec<Dispatch>, Records) {
    let walk = problem.traverse(Work::Reduce(Monoid::Moments));
    let mut kernel = problem.tensor_kernel(Step::Statistics, STATISTICS, &walk);
    add_moments(problem, &mut kernel, &walk);
    add_record(&mut kernel);
    problem.add_read(&mut kernel, &[Resource::X]);
    problem.add_activation(&mut kernel);
    (problem.over_tensors(&walk, &kernel), walk.records)
}

/// Adds what takes the moments of a tile, or of all values of a channel.
pub(super) fn add_moments(problem: &Problem<'_>, kernel: &mut Kernel, walk: &Walk) {
    for file in [EXACT, MOMENTS, MOMENTS_OF_BLOCK, MOMENTS_OF_TILE, problem.block(), walk.tile.reduction()] {
        kernel.file(file);
    }
}

/// Adds what leaves the moments of a tile as a record.
pub(super) fn add_record(kernel: &mut Kernel) {
    for file in [RECORDS, RECORD_OF_TILE, STORE_MOMENTS] {
        kernel.file(file);
    }
    kernel.bind(&[Resource::Records]);
}
