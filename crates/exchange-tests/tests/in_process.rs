//! The exchange between threads of one process, each with a device of its own.

#![allow(missing_docs)]

use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wgpu_batchnorm::{Context, InProcess};
use wgpu_batchnorm_exchange_tests::{Failure, Outcome, Transport, report, run_messages, run_passes};

/// The ends that have been made and not been taken, by how often the replicas have connected.
type Lobby = Arc<Mutex<BTreeMap<usize, Vec<Option<InProcess>>>>>;

/// One thread's way to its ends.
struct Threads {
    rank: usize,
    replicas: usize,
    connections: usize,
    lobby: Lobby,
}

impl Transport for Threads {
    type End = InProcess;

    fn connect(&mut self, limit: Duration) -> Result<InProcess, Failure> {
        let mut lobby = self.lobby.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || InProcess::group(self.replicas).into_iter().map(Some).collect();
        let ends = lobby.entry(self.connections).or_insert_with(make);
        self.connections += 1;
        let end = ends.get_mut(self.rank).and_then(Option::take).ok_or("taken twice")?;
        Ok(end.with_limit(limit))
    }
}

/// Runs `test` in so many threads; the first failure is told.
fn in_threads(
    replicas: usize,
    test: impl Fn(usize, &mut Threads) -> Result<Vec<Outcome>, Failure> + Sync,
) -> Result<(), Failed> {
    let lobby = Lobby::default();
    let results: Vec<_> = std::thread::scope(|scope| {
        let start = |rank| {
            let mut threads = Threads { rank, replicas, connections: 0, lobby: lobby.clone() };
            let test = &test;
            scope.spawn(move || test(rank, &mut threads))
        };
        let threads: Vec<_> = (0..replicas).map(start).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    for (rank, result) in results.into_iter().enumerate() {
        let result = result.map_err(|_| format!("rank {rank} panicked"))?;
        result.and_then(|outcomes| report(&outcomes)).map_err(|error| format!("rank {rank}: {error}"))?;
    }
    Ok(())
}

/// The given device for the first replica, for the others new ones of the same adapter.
fn device_of(rank: usize, context: &Context) -> Result<Context, Failure> {
    if rank == 0 {
        return Ok(context.clone());
    }
    Ok(pollster::block_on(Context::with_adapter_named(&context.device().adapter_info().name))?)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let context = Context::new_blocking();
    let required = std::env::var_os("BATCH_NORM_REQUIRE_ADAPTER").is_some_and(|value| value == "1");
    let mut trials = Vec::new();
    for replicas in 1..=4 {
        trials.push(Trial::test(format!("messages_of_{replicas}"), move || {
            in_threads(replicas, |_, threads| Ok(run_messages(threads)))
        }));
        let ignored = context.is_err() && !required;
        let context = context.clone();
        let passes = move || {
            let context = context.map_err(|error| error.to_string())?;
            in_threads(replicas, |rank, threads| Ok(run_passes(threads, &device_of(rank, &context)?)))
        };
        trials.push(Trial::test(format!("passes_of_{replicas}"), passes).with_ignored_flag(ignored));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
