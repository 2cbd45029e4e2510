//! `finalize`: `Moments` records, or held statistics → mean, variance and 1/σ; or the folded form; or one
//! merged record.

use super::Step;
use super::running_stats::add_update;
use crate::mode::Source;
use crate::plan::{Dispatch, Kernel, Problem, Records};
use crate::resource::Resource;
use crate::shader::parts::*;

/// Where mean and variance come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistics {
    /// The records that `statistics` left.
    Merged(Records),
    /// The running or the given ones.
    Held(Source),
}

/// What is made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The planes that `normalize` and the backward pass need.
    Saved,
    /// The same without γ and β, in this resource: nobody normalizes with them.
    Unscaled(Resource),
    /// scale = γ/σ and offset = β − γ·mean/σ.
    Folded,
    /// One record for each channel, in the place of the first one.
    Record,
}

/// `updates`: the running statistics take in what is saved, one group after the other.
pub(crate) fn finalize(
    problem: &Problem<'_>,
    statistics: Statistics,
    outcome: Outcome,
    updates: bool,
) -> Vec<Dispatch> {
    let records = match statistics {
        Statistics::Merged(records) => records,
        // The same for each group.
        Statistics::Held(_) => Records { groups: problem.groups(), ..Records::of_one_group(1) },
    };
    let mut kernel = problem.channel_kernel(Step::Finalize, FINALIZE);
    kernel.file(STATISTICS_OF_CHANNEL);
    match statistics {
        Statistics::Merged(_) => {
            kernel
                .file(RECORDS)
                .file(MOMENTS)
                .file(LOAD_MOMENTS)
                .file(SOURCE_BATCH)
                .file(STATISTICS_OF_MOMENTS);
            problem.add_merge(&mut kernel, records);
            kernel.bind(&[Resource::Records]);
        }
        Statistics::Held(source) => {
            kernel.file(SOURCE_HELD).bind(match source {
                Source::Given => &[Resource::GivenMean, Resource::GivenVar],
                Source::Batch | Source::Running => &[Resource::RunningMean, Resource::RunningVar],
            });
        }
    }
    match outcome {
        Outcome::Saved => {
            add_conclusion(problem, &mut kernel, updates);
        }
        Outcome::Unscaled(saved) => {
            kernel
                .file(OUTCOME_SAVED)
                .file(CONCLUSION)
                .file(INVERSE_SQRT)
                .file(WEIGHT_ONE)
                .file(BIAS_ZERO)
                .bind(&[saved]);
            add_running(problem, &mut kernel, updates);
        }
        Outcome::Folded => {
            kernel.file(OUTCOME_FOLDED).bind(&[Resource::FoldedScale, Resource::FoldedOffset]);
            add_parameters(problem, &mut kernel);
        }
        Outcome::Record => {
            kernel.file(OUTCOME_RECORD).file(STORE_MOMENTS);
        }
    }
    problem.per_channel(records, 0, |_| kernel.clone())
}

/// Adds what makes the planes that are saved of a channel's statistics.
pub(super) fn add_conclusion(problem: &Problem<'_>, kernel: &mut Kernel, updates: bool) {
    kernel.file(OUTCOME_SAVED).bind(&[Resource::Saved]);
    add_parameters(problem, kernel);
    add_running(problem, kernel, updates);
}

fn add_running(problem: &Problem<'_>, kernel: &mut Kernel, updates: bool) {
    if updates {
        kernel.file(RUNNING_UPDATED);
        add_update(problem, kernel);
    } else {
        kernel.file(RUNNING_KEPT);
    }
}

fn add_parameters(problem: &Problem<'_>, kernel: &mut Kernel) {
    kernel.file(CONCLUSION).file(INVERSE_SQRT);
    kernel.slot(problem.options.weight, WEIGHT_GIVEN, &[Resource::Weight], WEIGHT_ONE);
    kernel.slot(problem.options.bias, BIAS_GIVEN, &[Resource::Bias], BIAS_ZERO);
}
