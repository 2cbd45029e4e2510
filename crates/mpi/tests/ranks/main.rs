//! Starts `mpirun` with this program, which then is one rank of a test: with as many ranks as the name of a test says.

#![allow(missing_docs)]

mod job;
mod programs;

use job::Job;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use wgpu_batchnorm::Context;

/// A test that starts a job.
type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    if let Some(program) = job::program() {
        return programs::run(&program);
    }
    let arguments = Arguments::from_args();
    let has_adapter = Context::new_blocking().is_ok();
    let required = std::env::var_os("BATCH_NORM_REQUIRE_ADAPTER").is_some_and(|value| value == "1");
    let mut trials = Vec::new();
    let mut add =
        |name: String, needs_adapter: bool, test: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
            let ignored = needs_adapter && !has_adapter && !required;
            trials.push(Trial::test(name, test).with_ignored_flag(ignored));
        };
    for ranks in 1..=4 {
        for (program, needs_adapter) in
            [("messages", false), ("messages_bruck", false), ("messages_two_level", false), ("passes", true)]
        {
            let job = Job::new(program, ranks);
            add(format!("{program}_of_{ranks}"), needs_adapter, Box::new(move || job.succeeds()));
        }
    }
    // More than there are cores, and nodes of different sizes.
    for (program, ranks) in [("messages", 7), ("messages_bruck", 7), ("messages_two_level", 7)] {
        let job = Job::new(program, ranks);
        add(format!("{program}_of_{ranks}"), false, Box::new(move || job.succeeds()));
    }
    for program in ["passes_bruck", "passes_two_level"] {
        let job = Job::new(program, 3);
        add(format!("{program}_of_3"), true, Box::new(move || job.succeeds()));
    }
    let job = Job::new("passes_in_groups", 4);
    add("passes_in_groups_of_2_of_4".to_owned(), true, Box::new(move || job.succeeds()));
    let job = Job::new("algorithms_agree", 3);
    add("each_algorithm_gives_the_same_bits".to_owned(), true, Box::new(move || job.succeeds()));
    let others: [(&str, Test); 15] = [
        ("a_world_of_one_needs_no_mpirun", || Job::new("messages", 0).succeeds()),
        ("groups_have_the_ranks_they_should", || Job::new("groups", 4).succeeds()),
        ("to_start_takes_no_waiting", || Job::new("starts", 2).succeeds()),
        ("an_exchange_may_outlive_mpi", || Job::new("outlives", 2).succeeds()),
        ("mpi_without_threads_is_refused", || Job::new("single_threaded", 1).succeeds()),
        ("an_algorithm_is_chosen_before_the_first_round", || Job::new("chosen_late", 2).succeeds()),
        ("a_rank_that_is_late_to_make_an_exchange", || Job::new("late", 3).succeeds()),
        ("a_rank_that_others_have_given_up", || Job::new("given_up", 3).succeeds()),
        ("who_only_waited_is_not_named", || Job::new("culprits", 5).succeeds()),
        ("a_rank_that_is_killed_ends_the_job", a_rank_that_is_killed_ends_the_job),
        ("a_rank_that_hangs_is_named", a_rank_that_hangs_is_named),
        ("a_rank_that_panics_is_named", a_rank_that_panics_is_named),
        ("a_rank_that_makes_no_exchange_is_missed", a_rank_that_makes_no_exchange_is_missed),
        ("other_algorithms_do_not_hang", other_algorithms_do_not_hang),
        ("a_job_without_end_is_ended_and_heard", a_job_without_end_is_ended_and_heard),
    ];
    for (name, test) in others {
        add(name.to_owned(), false, Box::new(test));
    }
    // Each has several processes.
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// `mpirun` itself ends the others and names the one that is gone, long before they give up.
fn a_rank_that_is_killed_ends_the_job() -> Result<(), Failed> {
    Job::new("killed", 3).fails(programs::LIMIT / 2, &["rank 1"])
}

/// Stopped, so that it is alive and does nothing at all, with a long message for it under way.
fn a_rank_that_hangs_is_named() -> Result<(), Failed> {
    Job::new("hangs", 3).fails(programs::LIMIT, &["rank 1 is missed"])
}

fn a_rank_that_panics_is_named() -> Result<(), Failed> {
    Job::new("panics", 3).fails(programs::LIMIT, &["replica 2 has left"])
}

fn a_rank_that_makes_no_exchange_is_missed() -> Result<(), Failed> {
    let words = ["of 3 ranks not all have made this exchange within 1s"];
    Job::new("makes_none", 3).fails(programs::LIMIT, &words)
}

/// Ranks that do not agree on the algorithm miss one another's messages.
fn other_algorithms_do_not_hang() -> Result<(), Failed> {
    Job::new("other_algorithms", 4).succeeds()
}

/// What the tests do with a job that hangs.
fn a_job_without_end_is_ended_and_heard() -> Result<(), Failed> {
    let mut job = Job::new("endless", 2).start()?;
    let words = ["rank 0 is here", "rank 1 is here"];
    job.says(&words)?;
    let job::Ended { status, output, .. } = job.end()?;
    if status.success() || words.iter().any(|word| !output.contains(word)) {
        return Err(format!("{status}, expected a failure and {words:?} in\n{output}").into());
    }
    Ok(())
}
