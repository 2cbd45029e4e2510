//! `finalize`: `Moments` records, or the running statistics → mean, variance and 1/σ, and the
//! coefficients of y = ((x − mean_hi) − mean_lo)·γ/σ + β.

use super::Step;
use crate::plan::{Dispatch, Kernel, Problem, tile_of_records};
use crate::resource::Resource;
use crate::shader::parts::*;

/// Where mean and variance come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The batch: this many records per channel, left by `statistics`.
    Batch {
        /// Records per channel.
        splits: u64,
    },
    /// The running statistics.
    Running,
}

pub(crate) fn finalize(problem: &Problem<'_>, source: Source, weight: bool, bias: bool) -> Dispatch {
    let mut resources = vec![Resource::Saved, Resource::Coefficients];
    let mut files = vec![
        PARAMS,
        TILE,
        PER_CHANNEL,
        COEFFICIENTS,
        INVERSE_SQRT,
        EXACT,
        weight_file(weight, &mut resources),
    ];
    files.push(if bias {
        resources.push(Resource::Bias);
        BIAS_GIVEN
    } else {
        BIAS_ZERO
    });
    let records = match source {
        Source::Batch { splits } => {
            let reduction = tile_of_records(problem, splits).reduction();
            files.extend([RECORDS, MOMENTS, LOAD_MOMENTS, reduction, SOURCE_BATCH]);
            resources.push(Resource::Records);
            splits
        }
        Source::Running => {
            files.push(SOURCE_RUNNING);
            resources.extend([Resource::RunningMean, Resource::RunningVar]);
            1
        }
    };
    files.push(FINALIZE);
    problem.per_channel(records, &Kernel { step: Step::Finalize, files, resources })
}

/// The file for the slot `weight`, and its binding.
pub(super) fn weight_file(given: bool, resources: &mut Vec<Resource>) -> Part {
    if given {
        resources.push(Resource::Weight);
        WEIGHT_GIVEN
    } else {
        WEIGHT_ONE
    }
}
