//! `forward_resident`: a forward pass in one dispatch, where a workgroup has all values of its channels.

use super::Step;
use super::finalize::add_conclusion;
use super::normalize::add_normalization;
use super::statistics::add_moments;
use crate::plan::{Dispatch, Kept, Kernel, Monoid, Pass, Problem, Unsuited, Whole, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// `updates`: the running statistics take in the batch too.
pub(crate) fn forward_resident(
    problem: &Problem<'_>,
    pass: Pass,
    in_place: bool,
    updates: bool,
    kept: Kept,
) -> Result<Vec<Dispatch>, Unsuited> {
    let walk = problem.traverse_whole(Work::Whole(Whole { monoid: Monoid::Moments, kept, tensors: 1 }))?;
    let mut kernel = problem.tensor_kernel(Step::ForwardResident, FORWARD_RESIDENT, &walk);
    add_moments(problem, &mut kernel, &walk);
    add_settlement(problem, &mut kernel, updates);
    add_normalization(problem, &mut kernel, pass, in_place);
    match kept {
        Kept::InRegisters => kernel.file(KEPT_X_REGISTERS).file(AGAIN),
        Kept::InCache => kernel.file(KEPT_X_CACHE),
    };
    problem.check_bindings(&kernel)?;
    Ok(problem.over_tensors_twice(&walk, &kernel, (&[Resource::X], kept)))
}

/// Adds what every lane concludes about its channels before it normalizes, and what one of them leaves.
pub(super) fn add_settlement(problem: &Problem<'_>, kernel: &mut Kernel, updates: bool) {
    for file in [SETTLE_STATISTICS, PLANES, STATISTICS_OF_CHANNEL, STATISTICS_OF_MOMENTS] {
        kernel.file(file);
    }
    add_conclusion(problem, kernel, updates);
}
