//! `forward_pipelined`: normalizes one run of channels while the statistics of the next are taken.

use super::Step;
use super::forward_resident::add_settlement;
use super::normalize::add_normalization;
use super::statistics::{add_moments, add_record};
use crate::plan::{Dispatch, Monoid, Pass, Problem, Records, Unsuited, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// The dispatches, and how many records they leave. `updates`: the running statistics take in the batch too.
pub(crate) fn forward_pipelined(
    problem: &Problem<'_>,
    pass: Pass,
    in_place: bool,
    updates: bool,
) -> Result<(Vec<Dispatch>, Records), Unsuited> {
    let walk = problem.traverse_whole(Work::Pipelined(Monoid::Moments))?;
    let mut kernel = problem.pipelined_kernel(Step::ForwardPipelined, FORWARD_PIPELINED, &walk);
    add_moments(problem, &mut kernel, &walk);
    add_record(&mut kernel);
    kernel.file(LOAD_MOMENTS).file(MERGE_ALONE);
    add_settlement(problem, &mut kernel, updates);
    add_normalization(problem, &mut kernel, pass, in_place);
    problem.check_bindings(&kernel)?;
    Ok((problem.over_runs(&walk, &kernel, &[Resource::X]), walk.records))
}
