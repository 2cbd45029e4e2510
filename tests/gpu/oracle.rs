//! The oracle cases of `tests/cases`: all of them run and pass.

use crate::Test;
use crate::common::file;
use crate::forward_pipelined::in_runs;
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use wgpu_batchnorm::{Context, Schedule, Traversal};
use wgpu_batchnorm_oracle::{Case, Kind, RunError, find_cases, judge, run_case};

pub(crate) const TESTS: &[Test] = &[
    ("every_case_passes", every_case_passes),
    ("every_case_passes_in_every_traversal", every_case_passes_in_every_traversal),
];

/// How many there are: given, and made by ourselves.
const CASES: [usize; 2] = [48, 23];

fn every_case_passes(context: &Context) -> Result<(), Failed> {
    let (mut passed, mut made, mut failed) = (0, 0, Vec::new());
    let mut kinds = BTreeMap::new();
    for path in find_cases([file("tests/cases")])? {
        let case = Case::load(&path)?;
        // The least that a verdict of this kind is about, so that none passes for lack of anything to judge.
        let least = match case.kind {
            Kind::Step | Kind::Sync { .. } => 4,
            Kind::Population { .. } | Kind::Ghost { .. } | Kind::Masked => 4,
            Kind::DoubleBackward => 3,
            Kind::Moments { .. } => 2,
            _ => usize::MAX,
        };
        match pollster::block_on(run_case(context, &case)) {
            Ok(outputs) => {
                let verdict = judge(&case, &outputs);
                if verdict.passed() && verdict.tensors.len() >= least {
                    passed += 1;
                } else {
                    failed.push(verdict.to_string());
                }
            }
            Err(error) => failed.push(format!("{}: {error}", case.name)),
        }
        made += usize::from(path.components().any(|part| part.as_os_str() == "made"));
        *kinds.entry(case.kind.to_string()).or_insert(0) += 1;
    }
    if !failed.is_empty() {
        return Err(failed.join("\n").into());
    }
    if [passed - made, made] == CASES {
        return Ok(());
    }
    Err(format!("{} given cases and {made} made ones, expected {CASES:?}: {kinds:?}", passed - made).into())
}

/// Cases to which each traversal applies: all but those of kinds and sources without a choice, and one whose channels a
/// workgroup of a small adapter cannot keep in registers.
const LEAST_TRAVERSED: usize = 57;

fn every_case_passes_in_every_traversal(context: &Context) -> Result<(), Failed> {
    let on_card = Schedule { as_gpu: true, ..Schedule::with_traversal(Traversal::Split) };
    let others = [in_runs(3), on_card];
    for schedule in Traversal::ALL.map(Schedule::with_traversal).into_iter().chain(others) {
        let context = context.with_schedule(schedule);
        let (mut passed, mut failed) = (0, Vec::new());
        for path in find_cases([file("tests/cases")])? {
            let case = Case::load(&path)?;
            match pollster::block_on(run_case(&context, &case)) {
                Ok(outputs) if judge(&case, &outputs).passed() => passed += 1,
                Ok(outputs) => failed.push(judge(&case, &outputs).to_string()),
                Err(RunError::Inapplicable(_)) => {}
                Err(error) => failed.push(format!("{}: {error}", case.name)),
            }
        }
        if !failed.is_empty() || passed < LEAST_TRAVERSED {
            return Err(format!("{schedule:?}: {passed} passed\n{}", failed.join("\n")).into());
        }
    }
    Ok(())
}
