//! Tests that need an adapter. Where there is none they are shown as ignored; with
//! `BATCH_NORM_REQUIRE_ADAPTER=1` in the environment they fail then.

#![allow(missing_docs, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
mod contexts;
mod subject;

// One file a step, named by its stem.
mod backward_apply;
mod backward_finalize;
mod backward_pipelined;
mod backward_reduce;
mod backward_resident;
mod double_backward_apply;
mod double_backward_finalize;
mod double_backward_reduce;
mod finalize;
mod forward_pipelined;
mod forward_resident;
mod normalize;
mod running_stats;
mod statistics;

mod activations;
mod checkpoints;
mod dtypes;
mod errors;
mod functional;
mod ghost_batches;
mod guarded;
mod layer;
mod masks;
mod operator;
mod oracle;
mod origins;
mod properties;
mod recording;
mod sources;
mod synchronized;
mod workspace;

use contexts::Contexts;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::Arc;
use wgpu_batchnorm::{Context, Schedule, Step, Traversal};

/// A test: what it is called, and what it does with a context.
type Test = (&'static str, fn(&Context) -> Result<(), Failed>);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let contexts = Contexts::new().map(Arc::new);
    let required = std::env::var_os("BATCH_NORM_REQUIRE_ADAPTER").is_some_and(|value| value == "1");
    let steps: [(&str, &[Test]); 14] = [
        ("statistics", statistics::TESTS),
        ("finalize", finalize::TESTS),
        ("running_stats", running_stats::TESTS),
        ("normalize", normalize::TESTS),
        ("backward_reduce", backward_reduce::TESTS),
        ("backward_finalize", backward_finalize::TESTS),
        ("backward_apply", backward_apply::TESTS),
        ("double_backward_reduce", double_backward_reduce::TESTS),
        ("double_backward_finalize", double_backward_finalize::TESTS),
        ("double_backward_apply", double_backward_apply::TESTS),
        ("forward_resident", forward_resident::TESTS),
        ("forward_pipelined", forward_pipelined::TESTS),
        ("backward_resident", backward_resident::TESTS),
        ("backward_pipelined", backward_pipelined::TESTS),
    ];
    let others = [
        ("oracle", oracle::TESTS),
        ("properties", properties::TESTS),
        ("operator", operator::TESTS),
        ("dtypes", dtypes::TESTS),
        ("activations", activations::TESTS),
        ("sources", sources::TESTS),
        ("masks", masks::TESTS),
        ("ghost_batches", ghost_batches::TESTS),
        ("guarded", guarded::TESTS),
        ("functional", functional::TESTS),
        ("synchronized", synchronized::TESTS),
        ("recording", recording::TESTS),
        ("workspace", workspace::TESTS),
        ("origins", origins::TESTS),
        ("layer", layer::TESTS),
        ("checkpoints", checkpoints::TESTS),
        ("errors", errors::TESTS),
    ];
    let mut trials = vec![Trial::test("every_step_has_its_tests", move || {
        let stems = Step::ALL.map(Step::stem);
        if steps.map(|(stem, _)| stem) == stems && steps.iter().all(|(_, tests)| !tests.is_empty()) {
            Ok(())
        } else {
            Err("the test files and the steps differ".into())
        }
    })];
    // The tests of one step need its own kernel, whatever the cost model thinks of those that do several.
    let split = Schedule::with_traversal(Traversal::Split);
    let steps = steps.into_iter().map(|(stem, tests)| (stem, tests, Some(split)));
    let others = others.into_iter().map(|(group, tests)| (group, tests, None));
    for (group, tests, schedule) in steps.chain(others) {
        for (name, test) in tests {
            let contexts = contexts.clone();
            let ignored = contexts.is_err() && !required;
            let run = move || {
                contexts?.lend(|context| match schedule {
                    Some(schedule) => test(&context.with_schedule(schedule)),
                    None => test(context),
                })
            };
            trials.push(Trial::test(format!("{group}::{name}"), run).with_ignored_flag(ignored));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
