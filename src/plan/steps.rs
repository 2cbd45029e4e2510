//! Which steps an operation runs.

use super::{Dispatch, Kept, Monoid, Operation, Pass, Problem, Records, Traversal, Unsuited, Wanted};
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

/// The dispatches of an operation that goes over the tensors as `traversal` says.
pub(super) fn of(
    problem: &Problem<'_>,
    options: &Options,
    operation: Operation,
    traversal: Traversal,
) -> Result<Steps, Unsuited> {
    let at_once = match traversal {
        Traversal::Split => return Ok(split(problem, options, operation)),
        Traversal::Pipelined => AtOnce::InRuns,
        Traversal::Revisited => AtOnce::Whole(Kept::InCache),
        Traversal::Resident => AtOnce::Whole(Kept::InRegisters),
    };
    match operation {
        Operation::Forward { pass, in_place } => forward_at_once(problem, options, pass, in_place, at_once),
        Operation::Backward { pass, wanted } => backward_at_once(problem, pass, wanted, at_once),
        // Nothing else is read twice.
        _ => Ok(split(problem, options, operation)),
    }
}

/// How a kernel reduces and writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtOnce {
    /// One run of channels after the other.
    InRuns,
    /// All values of a channel in a workgroup.
    Whole(Kept),
}

/// A forward pass whose kernels reduce and normalize.
fn forward_at_once(
    problem: &Problem<'_>,
    options: &Options,
    pass: Pass,
    in_place: bool,
    at_once: AtOnce,
) -> Result<Steps, Unsuited> {
    let updates = pass.mode.update && options.running_statistics;
    let with_updates = |updates: bool| {
        let mut steps = Steps::new();
        match at_once {
            AtOnce::InRuns => {
                let pipelined = kernels::forward_pipelined(problem, pass, in_place, updates)?;
                steps.reduce(problem, pipelined, Monoid::Moments);
            }
            AtOnce::Whole(kept) => {
                steps.add(kernels::forward_resident(problem, pass, in_place, updates, kept)?);
            }
        }
        Ok(steps)
    };
    // Groups are taken in one after the other, and a guard looks at all channels before the first is updated.
    let together = updates && problem.groups() == 1 && !options.guarded;
    match with_updates(together) {
        Ok(steps) if together || !updates => Ok(steps),
        // The arrays of the update may be those that are too many.
        Err(Unsuited::Bindings { .. }) if together => with_separate_update(problem, with_updates(false)?),
        Ok(steps) => with_separate_update(problem, steps),
        Err(unsuited) => Err(unsuited),
    }
}

fn with_separate_update(problem: &Problem<'_>, mut steps: Steps) -> Result<Steps, Unsuited> {
    steps.add(kernels::running_stats(problem, Resource::Saved));
    Ok(steps)
}

/// A backward pass whose kernels reduce and write dx.
fn backward_at_once(
    problem: &Problem<'_>,
    pass: Pass,
    wanted: Wanted,
    at_once: AtOnce,
) -> Result<Steps, Unsuited> {
    let mut steps = Steps::new();
    let (dispatches, records) = match at_once {
        AtOnce::InRuns => kernels::backward_pipelined(problem, pass, wanted)?,
        AtOnce::Whole(kept) => kernels::backward_resident(problem, pass, wanted, kept)?,
    };
    steps.add(dispatches);
    if at_once == AtOnce::InRuns || problem.groups() > 1 {
        steps.keep(problem, records, Monoid::GradSums);
    }
    // What remains is to sum over the groups.
    if problem.groups() > 1 && (wanted.dweight.is_some() || wanted.dbias.is_some()) {
        let outcome = GradientOutcome::Coefficients(wanted);
        steps.add(kernels::backward_finalize(problem, Sums::Merged(records), outcome));
    }
    Ok(steps)
}

/// One step after the other.
fn split(problem: &Problem<'_>, options: &Options, operation: Operation) -> Steps {
    let mut steps = Steps::new();
    let none = Records::of_one_group(0);
    match operation {
        Operation::Forward { pass, in_place } => {
            take_statistics(&mut steps, problem, options, pass, true);
            steps.add(kernels::normalize(problem, pass, in_place));
        }
        Operation::Statistics { pass } => take_statistics(&mut steps, problem, options, pass, false),
        Operation::Fold => {
            steps.add(kernels::finalize(problem, Statistics::Held(Source::Given), Outcome::Folded, false));
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
            steps.add(kernels::finalize(problem, Statistics::Merged(records), Outcome::Record, false));
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
            let updates = pass.mode.update && options.running_statistics;
            finalize(&mut steps, problem, records, Outcome::Saved, updates);
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
        // Held statistics normalize as they were before the batch.
        if held && normalizes {
            hold(steps, problem, pass);
        }
        let outcome = if held || !normalizes { Outcome::Unscaled(saved) } else { Outcome::Saved };
        finalize(steps, problem, records, outcome, updates);
    } else {
        hold(steps, problem, pass);
    }
}

/// Finalizes the batch's statistics, and has the running ones take them in: in the same kernel, but for a guard,
/// which looks at all channels before the first is updated.
fn finalize(steps: &mut Steps, problem: &Problem<'_>, records: Records, outcome: Outcome, updates: bool) {
    let at_once = updates && !problem.options.guarded;
    steps.add(kernels::finalize(problem, Statistics::Merged(records), outcome, at_once));
    if updates && !at_once {
        let saved = match outcome {
            Outcome::Unscaled(saved) => saved,
            _ => Resource::Saved,
        };
        steps.add(kernels::running_stats(problem, saved));
    }
}

fn hold(steps: &mut Steps, problem: &Problem<'_>, pass: Pass) {
    let held = Statistics::Held(pass.mode.source);
    steps.add(kernels::finalize(problem, held, Outcome::Saved, false));
}

fn apply(steps: &mut Steps, problem: &Problem<'_>, pass: Pass, wanted: Wanted) {
    if wanted.dx || wanted.dresidual {
        steps.add(kernels::backward_apply(problem, pass, wanted));
    }
}
