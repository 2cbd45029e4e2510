//! `backward_pipelined`: writes dx of one run of channels while the sums of the next are taken.

use super::Step;
use super::backward_reduce::add_record;
use super::backward_resident::{READ_TWICE, add_gradients};
use crate::plan::{Dispatch, Monoid, Pass, Problem, Records, Unsuited, Wanted, Work};
use crate::shader::parts::*;

/// The dispatches, and how many records they leave.
pub(crate) fn backward_pipelined(
    problem: &Problem<'_>,
    pass: Pass,
    wanted: Wanted,
) -> Result<(Vec<Dispatch>, Records), Unsuited> {
    let walk = problem.traverse_whole(Work::Pipelined(Monoid::GradSums))?;
    let mut kernel = problem.pipelined_kernel(Step::BackwardPipelined, BACKWARD_PIPELINED, &walk);
    add_gradients(problem, &mut kernel, &walk, pass, wanted);
    add_record(&mut kernel);
    kernel.file(LOAD_PAIR).file(LOAD_GRAD_SUMS).file(MERGE_ALONE);
    problem.check_bindings(&kernel)?;
    Ok((problem.over_runs(&walk, &kernel, READ_TWICE), walk.records))
}
