//! `running_stats`: running ← (1 − m)·running + m·batch, the variance unbiased.

use super::Step;
use crate::options::Momentum;
use crate::plan::{Dispatch, Kernel, Problem, Records};
use crate::resource::Resource;
use crate::shader::parts::*;

/// `saved` holds the statistics of the batch.
pub(crate) fn running_stats(problem: &Problem<'_>, saved: Resource) -> Vec<Dispatch> {
    let records = Records { groups: problem.groups(), ..Records::of_one_group(1) };
    let mut kernel = problem.channel_kernel(Step::RunningStats, RUNNING_STATS);
    add_update(problem, &mut kernel);
    kernel.file(if problem.options.guarded { GUARD_FINITE } else { GUARD_NONE }).bind(&[saved]);
    // The guard looks at all channels, four at a time, and ends its loop.
    let scans = if problem.options.guarded { problem.scan_iterations(records) + 1 } else { 0 };
    problem.per_channel(records, scans, |_| kernel.clone())
}

/// Adds the update of a channel.
pub(super) fn add_update(problem: &Problem<'_>, kernel: &mut Kernel) {
    kernel.file(UPDATE_RUNNING).file(match problem.options.momentum {
        Momentum::MovingAverage(_) => MOVING_AVERAGE,
        Momentum::Cumulative => CUMULATIVE,
    });
    kernel.bind(&[
        Resource::RunningMean,
        Resource::RunningVar,
        Resource::NumBatchesTracked,
        Resource::NumBatchesSkipped,
    ]);
}
