//! What the ranks of a test do.

use mpi::Threading;
use mpi::environment::Universe;
use mpi::topology::{Communicator as _, SimpleCommunicator};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use wgpu_batchnorm::{Context, Exchange as _, ExchangeError};
use wgpu_batchnorm_exchange_tests::{Failure, Transport, report, run_messages, run_passes};
use wgpu_batchnorm_mpi::{Algorithm, MpiError, MpiExchange};

const LIMIT: Duration = Duration::from_secs(30);
/// How long others are waited for where they will not come.
const SHORT: Duration = Duration::from_secs(1);

/// Runs one rank of a program.
pub(crate) fn run(program: &str) -> ExitCode {
    let bruck = Some(Algorithm::Bruck);
    let two_level = Some(Algorithm::TwoLevel { node: 2 });
    let result = match program {
        "messages" => messages(None),
        "messages_bruck" => messages(bruck),
        "messages_two_level" => messages(two_level),
        "passes" => passes(None, None),
        "passes_bruck" => passes(bruck, None),
        "passes_two_level" => passes(two_level, None),
        "passes_in_groups" => passes(None, Some(2)),
        // For `cargo xtask test-mpi`, which installs one.
        "adapter" => Context::new_blocking().map(drop).map_err(Into::into),
        "groups" => groups(),
        "starts" => starts(),
        "outlives" => outlives(),
        "single_threaded" => single_threaded(),
        "killed" => ends_itself("KILL"),
        "hangs" => ends_itself("STOP"),
        "panics" => panics(),
        "makes_none" => makes_none(),
        "other_algorithms" => other_algorithms(),
        _ => Err(format!("there is no program {program}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn universe() -> Result<Universe, Failure> {
    Ok(mpi::initialize_with_threading(Threading::Funneled).ok_or("MPI runs already")?.0)
}

/// Exchanges through MPI, all alike.
struct Ranks {
    world: SimpleCommunicator,
    algorithm: Option<Algorithm>,
    groups: Option<usize>,
}

impl Transport for Ranks {
    type End = MpiExchange;

    fn connect(&mut self, limit: Duration) -> Result<MpiExchange, Failure> {
        // Others may still be at the last test; the limit is that of the exchange.
        wait_for_all(&self.world)?;
        let exchange = match self.groups {
            None => MpiExchange::over(&self.world, limit)?,
            Some(ranks) => MpiExchange::groups_of(ranks, &self.world, limit)?,
        };
        Ok(match self.algorithm {
            None => exchange,
            Some(algorithm) => exchange.with_algorithm(algorithm),
        })
    }
}

fn wait_for_all(world: &SimpleCommunicator) -> Result<(), MpiError> {
    MpiExchange::over(world, LIMIT).map(drop)
}

fn messages(algorithm: Option<Algorithm>) -> Result<(), Failure> {
    let universe = universe()?;
    let outcomes = run_messages(&mut Ranks { world: universe.world(), algorithm, groups: None });
    report(&outcomes)
}

fn passes(algorithm: Option<Algorithm>, groups: Option<usize>) -> Result<(), Failure> {
    let universe = universe()?;
    let context = Context::new_blocking()?;
    let outcomes = run_passes(&mut Ranks { world: universe.world(), algorithm, groups }, &context);
    report(&outcomes)
}

fn groups() -> Result<(), Failure> {
    let universe = universe()?;
    let world = universe.world();
    let rank = usize::try_from(world.rank())?;
    // Each hears the ranks of its own group.
    for (exchange, expected) in [
        (MpiExchange::groups_of(1, &world, LIMIT)?, vec![rank]),
        (MpiExchange::groups_of(2, &world, LIMIT)?, vec![rank / 2 * 2, rank / 2 * 2 + 1]),
        (MpiExchange::groups_of(3, &world, LIMIT)?, if rank < 3 { vec![0, 1, 2] } else { vec![3] }),
        (MpiExchange::groups_of(9, &world, LIMIT)?, vec![0, 1, 2, 3]),
        (MpiExchange::within_node(&world, LIMIT)?, vec![0, 1, 2, 3]),
    ] {
        let heard = exchange.all_gather(&[rank as u8])?;
        let expected: Vec<_> = expected.into_iter().map(|rank| vec![rank as u8]).collect();
        if heard != expected || exchange.replicas() != expected.len() {
            return Err(format!("rank {rank} heard {heard:?}, expected {expected:?}").into());
        }
    }
    match MpiExchange::groups_of(0, &world, LIMIT) {
        Err(MpiError::EmptyGroups { actual: 0 }) => Ok(()),
        result => Err(format!("groups of none: {result:?}").into()),
    }
}

/// To start an exchange takes no waiting, even if another rank is late and the message long; to wait for it does.
fn starts() -> Result<(), Failure> {
    const LATE: Duration = Duration::from_millis(600);
    let universe = universe()?;
    let exchange = MpiExchange::over(&universe.world(), LIMIT)?;
    for bytes in [1_304, 2_000_000] {
        exchange.all_gather(&[0])?;
        let begun = Instant::now();
        if exchange.rank() == 1 {
            std::thread::sleep(LATE);
        }
        let start = Instant::now();
        let mut round = exchange.start(vec![1; bytes])?;
        let started = start.elapsed();
        if started > LATE / 3 {
            return Err(format!("to start {bytes} bytes took {started:?}").into());
        }
        if exchange.rank() == 0 && round.is_complete()? {
            return Err(format!("{bytes} bytes are here before they were sent").into());
        }
        round.wait()?;
        let waited = begun.elapsed();
        if exchange.rank() == 0 && waited < LATE / 2 {
            return Err(format!("{bytes} bytes were here after {waited:?}").into());
        }
    }
    Ok(())
}

fn outlives() -> Result<(), Failure> {
    let universe = universe()?;
    let exchange = MpiExchange::over(&universe.world(), LIMIT)?;
    exchange.all_gather(&[1])?;
    drop(universe);
    drop(exchange);
    Ok(())
}

fn single_threaded() -> Result<(), Failure> {
    let universe = mpi::initialize().ok_or("MPI runs already")?;
    match MpiExchange::over(&universe.world(), LIMIT) {
        // Some MPIs grant more than they are asked for.
        Err(MpiError::Threading { actual: Threading::Single, expected: Threading::Funneled }) => Ok(()),
        Ok(_) if mpi::environment::threading_support() > Threading::Single => Ok(()),
        result => Err(format!("{result:?}").into()),
    }
}

/// Rank 1 sends itself a signal, the others exchange.
fn ends_itself(signal: &str) -> Result<(), Failure> {
    let universe = universe()?;
    let limit = if signal == "STOP" { SHORT } else { LIMIT };
    let exchange = MpiExchange::over(&universe.world(), limit)?;
    exchange.all_gather(&[1])?;
    if exchange.rank() == 1 {
        let own = std::process::id().to_string();
        Command::new("kill").args(["-s", signal, &own]).status()?;
    }
    let error = exchange.all_gather(&[2; 2_000_000]).err().ok_or("nobody is missed")?;
    eprintln!("{error}");
    // The one that hangs does not come to MPI's end either.
    std::process::exit(3);
}

fn panics() -> Result<(), Failure> {
    let universe = universe()?;
    let exchange = MpiExchange::over(&universe.world(), LIMIT)?;
    exchange.all_gather(&[1])?;
    if exchange.rank() == 2 {
        #[expect(clippy::panic, reason = "the test of a panic")]
        {
            panic!("a fault of this rank");
        }
    }
    exchange.all_gather(&[2])?;
    Ok(())
}

fn makes_none() -> Result<(), Failure> {
    let universe = universe()?;
    if universe.world().rank() == 1 {
        std::thread::sleep(4 * SHORT);
        return Ok(());
    }
    let error = MpiExchange::over(&universe.world(), SHORT).err().ok_or("nobody is missed")?;
    eprintln!("{error}");
    std::process::exit(3);
}

fn other_algorithms() -> Result<(), Failure> {
    let universe = universe()?;
    let exchange = MpiExchange::over(&universe.world(), SHORT)?;
    let algorithm = if exchange.rank() == 3 { Algorithm::Bruck } else { Algorithm::TwoLevel { node: 2 } };
    let exchange = exchange.with_algorithm(algorithm);
    match exchange.all_gather(&[1]) {
        Err(ExchangeError::TimedOut { .. } | ExchangeError::Left { .. } | ExchangeError::Transport(_)) => {
            Ok(())
        }
        result => Err(format!("expected an error, got {result:?}").into()),
    }
}
