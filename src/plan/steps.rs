//! Which steps an operation runs.

use super::{Dispatch, Monoid, Operation, Pass, Problem, Records, Wanted};
use crate::kernels::{self, GradientOutcome, Outcome, Statistics, Sums};
use crate::mode::Source;
use crate::options::Options;
use crate::resource::Resource;

/// The dispatches of an operation, and what they need beside the tensors.
pub(super) struct Steps {
    pub(super) dispatches: Vec<Dispatch>,
    /// Bytes of the records between a reduction and the step that merges them.
    pub(super) record_bytes: u64,
    /// Whether the batch's own statistics are kept beside those that normalize.
    pub(super) saves_batch: bool,
}

impl Steps {
    fn new() -> Self {
        Self { dispatches: Vec::new(), record_bytes: 0, saves_batch: false }
    }

    fn add(&mut self, dispatches: impl IntoIterator<Item = Dispatch>) {
        self.dispatches.extend(dispatches);
    }

    /// Adds a reduction, and returns the records that it leaves.
    fn reduce(
        &mut self,
        problem: &Problem<'_>,
        (dispatches, records): (Vec<Dispatch>, Records),
        monoid: Monoid,
    ) -> Records {
        self.add(dispatches);
        self.keep(problem, records, monoid);
        records
    }

    fn keep(&mut self, problem: &Problem<'_>, records: Records, monoid: Monoid) {
        // So many replicas as to overflow have more records than any binding holds.
        let records = records.groups.saturating_mul(records.splits);
        let bytes = records.saturating_mul(problem.channels * monoid.bytes());
        self.record_bytes = self.record_bytes.max(bytes);
    }
}

pub(super) fn of(problem: &Problem<'_>, options: &Options, operation: Operation) -> Steps {
    let mut steps = Steps::new();
    let none = Records::of_one_group(0);
    match operation {
        Operation::Forward { pass, in_place } => {
            take_statistics(&mut steps, problem, options, pass, true);
            steps.add(kernels::normalize(problem, pass, in_place));
        }
        Operation::Statistics { pass } => take_statistics(&mut steps, problem, options, pass, false),
        Operation::Fold => {
            steps.add(kernels::finalize(problem, Statistics::Held(Source::Given), Outcome::Folded));
        }
        Operation::Backward { pass, wanted } => {
            let batch = pass.mode.source == Source::Batch;
            let per_channel = wanted.dweight.is_some() || wanted.dbias.is_some() || wanted.dstatistics;
            let records = if batch && wanted.dx || per_channel {
                let reduced = kernels::backward_reduce(problem, pass);
                steps.reduce(problem, reduced, Monoid::GradSums)
            } else {
                Records { groups: problem.groups(), ..none }
            };
            let outcome = GradientOutcome::Coefficients(wanted);
            steps.add(kernels::backward_finalize(problem, Sums::Merged(records), outcome));
            apply(&mut steps, problem, pass, wanted);
        }
        Operation::MomentsBackward { .. } => {
            let wanted = Wanted { dx: true, ..Wanted::default() };
            let sums = Sums::OfMoments { groups: problem.groups() };
            steps.add(kernels::backward_finalize(problem, sums, GradientOutcome::Coefficients(wanted)));
            steps.add(kernels::moments_backward_apply(problem));
        }
        Operation::DoubleBackward { pass, ddweight, ddbias, grad_weight } => {
            let reduced = kernels::double_backward_reduce(problem);
            let records = steps.reduce(problem, reduced, Monoid::DoubleGradSums);
            let source = pass.mode.source;
            steps.add(kernels::double_backward_finalize(
                problem,
                records,
                source,
                [ddweight, ddbias, grad_weight],
            ));
            steps.add(kernels::double_backward_apply(problem, source));
        }
        Operation::LocalStatistics { .. } => {
            let records = steps.reduce(problem, kernels::statistics(problem), Monoid::Moments);
            steps.add(kernels::finalize(problem, Statistics::Merged(records), Outcome::Record));
        }
        Operation::LocalGradients { pass } => {
            let reduced = kernels::backward_reduce(problem, pass);
            let records = steps.reduce(problem, reduced, Monoid::GradSums);
            let outcome = GradientOutcome::Record;
            steps.add(kernels::backward_finalize(problem, Sums::Merged(records), outcome));
        }
        Operation::MergedForward { pass, in_place, replicas, samples } => {
            let records = Records::of_one_group(replicas as u64);
            steps.keep(problem, records, Monoid::Moments);
            steps.add(kernels::finalize(problem, Statistics::Merged(records), Outcome::Saved));
            if pass.mode.update && options.running_statistics {
                steps.add(kernels::running_stats(problem, Resource::Saved));
            }
            if samples {
                steps.add(kernels::normalize(problem, pass, in_place));
            }
        }
        Operation::MergedBackward { pass, wanted, replicas } => {
            let records = Records::of_one_group(replicas as u64);
            steps.keep(problem, records, Monoid::GradSums);
            let outcome = GradientOutcome::Coefficients(wanted);
            steps.add(kernels::backward_finalize(problem, Sums::Merged(records), outcome));
            apply(&mut steps, problem, pass, wanted);
        }
    }
    steps
}

/// The statistics that normalize, in `saved`; and those of the batch taken into the running ones.
fn take_statistics(
    steps: &mut Steps,
    problem: &Problem<'_>,
    options: &Options,
    pass: Pass,
    normalizes: bool,
) {
    let updates = pass.mode.update && options.running_statistics;
    let held = pass.mode.source != Source::Batch;
    if !held || updates {
        let records = steps.reduce(problem, kernels::statistics(problem), Monoid::Moments);
        steps.saves_batch = held;
        let saved = if held { Resource::SavedOfBatch } else { Resource::Saved };
        let outcome = if held || !normalizes { Outcome::Unscaled(saved) } else { Outcome::Saved };
        steps.add(kernels::finalize(problem, Statistics::Merged(records), outcome));
        // Held statistics normalize as they were before the batch.
        if held && normalizes {
            hold(steps, problem, pass);
        }
        if updates {
            steps.add(kernels::running_stats(problem, saved));
        }
    } else {
        hold(steps, problem, pass);
    }
}

fn hold(steps: &mut Steps, problem: &Problem<'_>, pass: Pass) {
    let held = Statistics::Held(pass.mode.source);
    steps.add(kernels::finalize(problem, held, Outcome::Saved));
}

fn apply(steps: &mut Steps, problem: &Problem<'_>, pass: Pass, wanted: Wanted) {
    if wanted.dx || wanted.dresidual {
        steps.add(kernels::backward_apply(problem, pass, wanted));
    }
}
