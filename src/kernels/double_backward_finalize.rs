//! `double_backward_finalize`: `DoubleGradSums` records → the gradient of γ, and the coefficients of
//! `double_backward_apply`.

use super::Step;
use crate::mode::Source;
use crate::plan::{Dispatch, Kernel, Problem, Records, Run};
use crate::resource::Resource;
use crate::shader::parts::*;

pub(crate) fn double_backward_finalize(
    problem: &Problem<'_>,
    records: Records,
    source: Source,
    given: [bool; 3],
) -> Vec<Dispatch> {
    problem.per_channel(records, 0, |run| kernel(problem, records, source, given, run))
}

fn kernel(
    problem: &Problem<'_>,
    records: Records,
    source: Source,
    [ddweight, ddbias, grad_weight]: [bool; 3],
    run: Run,
) -> Kernel {
    let step = Step::DoubleBackwardFinalize;
    let mut kernel = problem.channel_kernel(step, DOUBLE_BACKWARD_FINALIZE);
    for file in
        [SECOND_PLANES, SECOND_MEANS, RECORDS, PAIRS, LOAD_PAIR, DOUBLE_GRAD_SUMS, LOAD_DOUBLE_GRAD_SUMS]
    {
        kernel.file(file);
    }
    problem.add_merge(&mut kernel, records);
    kernel.bind(&[Resource::Saved, Resource::Coefficients, Resource::Records]);
    kernel.file(match source {
        Source::Batch => SECOND_MEANS_BATCH_STATISTICS,
        Source::Running | Source::Given => SECOND_MEANS_CONSTANT_STATISTICS,
    });
    kernel.slot(ddweight, DDWEIGHT_GIVEN, &[Resource::Ddweight], DDWEIGHT_ZERO);
    kernel.slot(ddbias, DDBIAS_GIVEN, &[Resource::Ddbias], DDBIAS_ZERO);
    let stored = if run == Run::First { GRAD_WEIGHT_WRITTEN } else { GRAD_WEIGHT_ADDED };
    kernel.slot(grad_weight, stored, &[Resource::GradWeight], GRAD_WEIGHT_DISCARDED);
    kernel
}
