//! `backward_resident`: a backward pass in one dispatch, where a workgroup has all values of its channels.

use super::Step;
use super::backward_apply::add_gradients_of_tensors;
use super::backward_finalize::add_parameter_gradients;
use super::backward_reduce::{add_epilogue, add_record, add_sums};
use crate::plan::{
    Dispatch, Kept, Kernel, Monoid, Pass, Problem, Records, Run, Unsuited, Walk, Wanted, Whole, Work,
};
use crate::resource::Resource;
use crate::shader::parts::*;

/// What both halves of a backward pass read, as far as they need it.
pub(super) const READ_TWICE: &[Resource] = &[Resource::X, Resource::Dy, Resource::Residual];

/// The dispatches, and the records that they leave if the samples have groups: then dγ and dβ are still to be
/// summed over these.
pub(crate) fn backward_resident(
    problem: &Problem<'_>,
    pass: Pass,
    wanted: Wanted,
    kept: Kept,
) -> Result<(Vec<Dispatch>, Records), Unsuited> {
    let residual = pass.residual && problem.options.gradient_depends_on_output();
    let tensors = 2 + u64::from(residual);
    let walk = problem.traverse_whole(Work::Whole(Whole { monoid: Monoid::GradSums, kept, tensors }))?;
    let mut kernel = problem.tensor_kernel(Step::BackwardResident, BACKWARD_RESIDENT, &walk);
    add_gradients(problem, &mut kernel, &walk, pass, wanted);
    match kept {
        Kept::InRegisters => kernel.file(KEPT_GRADIENTS_REGISTERS).file(AGAIN),
        Kept::InCache => kernel.file(KEPT_GRADIENTS_CACHE),
    };
    if problem.groups() > 1 {
        kernel.file(GROUP_RECORD_KEPT);
        add_record(&mut kernel);
    } else {
        kernel.file(GROUP_RECORD_DROPPED);
    }
    problem.check_bindings(&kernel)?;
    Ok((problem.over_tensors_twice(&walk, &kernel, (READ_TWICE, kept)), walk.records))
}

/// Adds what takes the sums, and what every lane concludes from them before it writes dx.
pub(super) fn add_gradients(
    problem: &Problem<'_>,
    kernel: &mut Kernel,
    walk: &Walk,
    pass: Pass,
    wanted: Wanted,
) {
    problem.add_planes(kernel, PLANES_SAVED, Resource::Saved);
    add_sums(kernel, walk);
    problem.add_read(kernel, &[Resource::X]);
    add_epilogue(problem, kernel, pass);
    kernel.file(DX_BATCH_STATISTICS).file(MEANS_OF_SUMS).file(SETTLE_GRADIENTS);
    add_gradients_of_tensors(problem, kernel, wanted);
    // Those of several groups are summed later.
    let now = if problem.groups() > 1 { Wanted { dweight: None, dbias: None, ..wanted } } else { wanted };
    add_parameter_gradients(kernel, now, Run::First);
}
