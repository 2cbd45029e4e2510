//! The exchanges between threads and tasks of one process, and transports with faults.

#![allow(missing_docs)]

mod faulty;
mod lobby;

use futures_util::future::join_all;
use libtest_mimic::{Arguments, Trial};
use lobby::{Lobby, first_failure, in_threads};
use std::path::Path;
use std::process::ExitCode;
use wgpu_batchnorm::{Context, InProcess, InTasks};
use wgpu_batchnorm_exchange_tests::{Failure, Transport, messages, passes, report, run_messages, run_passes};
use wgpu_batchnorm_oracle::{Case, Kind, find_cases, verify_replica};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases");

/// The given device for the first replica, for the others new ones of the same adapter.
async fn device_of(rank: usize, context: &Context) -> Result<Context, Failure> {
    if rank == 0 {
        return Ok(context.clone());
    }
    Ok(Context::with_adapter_named(&context.device().adapter_info().name).await?)
}

/// The oracle cases of kind `sync`.
fn cases(lobby: &mut Lobby<InProcess>, context: &Context) -> Result<(), Failure> {
    let mut run = 0;
    for path in find_cases([Path::new(CASES)])? {
        let case = Case::load(&path)?;
        if matches!(case.kind, Kind::Sync { .. }) {
            let end = lobby.connect(InProcess::LIMIT)?;
            pollster::block_on(verify_replica(context, &case, &end))
                .map_err(|error| format!("{}: {error}", case.name))?;
            run += 1;
        }
    }
    if run == 0 { Err(format!("{CASES} has no cases of kind sync").into()) } else { Ok(()) }
}

/// All replicas on one thread.
fn in_tasks(replicas: usize, context: Option<&Context>) -> Result<(), Failure> {
    let tasks = Lobby::<InTasks>::group(replicas).into_iter().map(|mut lobby| async move {
        let Some(context) = context else { return report(&messages(&mut lobby).await) };
        let context = device_of(lobby.rank(), context).await?;
        report(&passes(&mut lobby, &context).await)
    });
    first_failure(pollster::block_on(join_all(tasks)))
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let context = Context::new_blocking();
    let required = std::env::var_os("BATCH_NORM_REQUIRE_ADAPTER").is_some_and(|value| value == "1");
    let ignored = context.is_err() && !required;
    let mut trials = faulty::trials();
    let mut add = |name: String, test: Box<dyn FnOnce() -> Result<(), Failure> + Send>| {
        trials.push(Trial::test(name, move || Ok(test().map_err(|error| error.to_string())?)));
    };
    for replicas in 1..=4 {
        add(
            format!("messages_of_{replicas}_threads"),
            Box::new(move || {
                in_threads(replicas, |lobby: &mut Lobby<InProcess>| report(&run_messages(lobby)))
            }),
        );
        add(format!("messages_of_{replicas}_tasks"), Box::new(move || in_tasks(replicas, None)));
    }
    let mut add = |name: String, test: fn(usize, &Context) -> Result<(), Failure>, replicas: usize| {
        let context = context.clone();
        let test = move || {
            let context = context.map_err(|error| error.to_string())?;
            Ok(test(replicas, &context).map_err(|error| error.to_string())?)
        };
        trials.push(Trial::test(name, test).with_ignored_flag(ignored));
    };
    for replicas in 1..=4 {
        add(format!("passes_of_{replicas}_threads"), passes_in_threads, replicas);
        add(format!("cases_of_{replicas}_threads"), cases_in_threads, replicas);
    }
    add("passes_of_3_tasks".to_owned(), |replicas, context| in_tasks(replicas, Some(context)), 3);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn passes_in_threads(replicas: usize, context: &Context) -> Result<(), Failure> {
    in_threads(replicas, |lobby: &mut Lobby<InProcess>| {
        let context = pollster::block_on(device_of(lobby.rank(), context))?;
        report(&run_passes(lobby, &context))
    })
}

fn cases_in_threads(replicas: usize, context: &Context) -> Result<(), Failure> {
    in_threads(replicas, |lobby| {
        let context = pollster::block_on(device_of(lobby.rank(), context))?;
        cases(lobby, &context)
    })
}
