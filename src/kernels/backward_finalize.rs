//! `backward_finalize`: `GradSums` records → dγ, dβ and the coefficients of `backward_apply`; or one merged
//! record.

use super::Step;
use crate::plan::{Accumulation, Dispatch, Kernel, Problem, Records, Run, Wanted};
use crate::resource::Resource;
use crate::shader::parts::*;

/// Where the sums come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    /// The records that `backward_reduce` left; with none of them the two means that dx needs are 0, as
    /// they are with constant statistics.
    Merged(Records),
    /// The gradients of mean and variance, with no y between.
    OfMoments {
        /// Groups of samples that have statistics of their own.
        groups: u64,
    },
}

/// What is made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GradientOutcome {
    /// The coefficients of `backward_apply`, and the gradients per channel that are wanted.
    Coefficients(Wanted),
    /// One record for each channel, in the place of the first one.
    Record,
}

pub(crate) fn backward_finalize(
    problem: &Problem<'_>,
    sums: Sums,
    outcome: GradientOutcome,
) -> Vec<Dispatch> {
    let records = match sums {
        Sums::Merged(records) => records,
        Sums::OfMoments { groups } => Records { groups, ..Records::of_one_group(1) },
    };
    problem.per_channel(records, 0, |run| kernel(problem, records, sums, outcome, run))
}

fn kernel(problem: &Problem<'_>, records: Records, sums: Sums, outcome: GradientOutcome, run: Run) -> Kernel {
    let mut kernel = problem.channel_kernel(Step::BackwardFinalize, BACKWARD_FINALIZE);
    for file in [RECORDS, PAIRS, GRAD_SUMS] {
        kernel.file(file);
    }
    kernel.bind(&[Resource::Records]);
    match sums {
        Sums::Merged(_) => {
            kernel.file(LOAD_PAIR).file(LOAD_GRAD_SUMS).file(SUMS_MERGED);
            problem.add_merge(&mut kernel, records);
        }
        Sums::OfMoments { .. } => {
            kernel.file(SUMS_OF_MOMENTS).bind(&[Resource::Dmean, Resource::Dvariance]);
        }
    }
    match outcome {
        GradientOutcome::Coefficients(wanted) => {
            kernel
                .file(MEANS_OF_SUMS)
                .file(GRADIENT_OUTCOME_COEFFICIENTS)
                .bind(&[Resource::Saved, Resource::Coefficients]);
            add_parameter_gradients(&mut kernel, wanted, run);
            let dstatistics = [Resource::Dmean, Resource::Dvariance];
            kernel.slot(wanted.dstatistics, DSTATISTICS_WRITTEN, &dstatistics, DSTATISTICS_DISCARDED);
        }
        GradientOutcome::Record => {
            kernel.file(GRADIENT_OUTCOME_RECORD).file(STORE_GRAD_SUMS).file(STORE_PAIR);
        }
    }
    kernel
}

/// Adds what writes dγ and dβ, each if it is wanted.
pub(super) fn add_parameter_gradients(kernel: &mut Kernel, wanted: Wanted, run: Run) {
    let mut slot = |resource, wanted: Option<Accumulation>, [discarded, written, added]: [Part; 3]| {
        kernel.file(match (wanted, run) {
            (None, _) => discarded,
            (Some(Accumulation::Replace), Run::First) => written,
            (Some(_), _) => added,
        });
        kernel.bind(wanted.map(|_| resource).as_slice());
    };
    slot(Resource::Dweight, wanted.dweight, [DWEIGHT_DISCARDED, DWEIGHT_WRITTEN, DWEIGHT_ADDED]);
    slot(Resource::Dbias, wanted.dbias, [DBIAS_DISCARDED, DBIAS_WRITTEN, DBIAS_ADDED]);
}
