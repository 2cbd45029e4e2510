//! `running_stats`: running ← (1 − m)·running + m·batch, the variance unbiased.

use super::Step;
use crate::options::Momentum;
use crate::plan::{Dispatch, Kernel, Problem};
use crate::resource::Resource;
use crate::shader::parts::*;

pub(crate) fn running_stats(problem: &Problem<'_>, momentum: Momentum) -> Dispatch {
    let share = match momentum {
        Momentum::MovingAverage(_) => MOVING_AVERAGE,
        Momentum::Cumulative => CUMULATIVE,
    };
    let kernel = Kernel {
        step: Step::RunningStats,
        files: vec![PARAMS, TILE, PER_CHANNEL, COEFFICIENTS, share, RUNNING_STATS],
        resources: vec![
            Resource::RunningMean,
            Resource::RunningVar,
            Resource::NumBatchesTracked,
            Resource::Saved,
        ],
    };
    problem.per_channel(1, &kernel)
}
