//! What the ranks of a test do.

use mpi::Threading;
use mpi::environment::Universe;
use mpi::topology::{Communicator as _, SimpleCommunicator};
use mpi::traits::{Destination as _, Source as _};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;
use wgpu_batchnorm::{
    BatchNorm, Context, Exchange, ExchangeError, ForwardTensors, Layout, Options, SavedStatistics, Shape,
    Synchronized, Tensor,
};
use wgpu_batchnorm_exchange_tests::{Failure, Transport, report, run_messages, run_passes};
use wgpu_batchnorm_mpi::{Algorithm, MpiError, MpiExchange};
use wgpu_batchnorm_oracle::{Case, Kind, find_cases, verify_replica};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases");
/// However busy the machine is, no rank takes so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
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
        "algorithms_agree" => algorithms_agree(),
        "chosen_late" => chosen_late(),
        "late" => late(),
        "given_up" => given_up(),
        "culprits" => culprits(),
        "endless" => endless(),
        _ => Err(format!("there is no program {program}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{program}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line at once, so that those of several ranks do not mix.
fn say(line: &str) {
    // Where nobody hears it the job fails by its status.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
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
        // The limit is that of the exchange, not of its making: others may still be at the last test.
        let exchange = match self.groups {
            None => MpiExchange::over(&self.world, LIMIT)?,
            Some(ranks) => MpiExchange::groups_of(ranks, &self.world, LIMIT)?,
        };
        let exchange = exchange.with_limit(limit);
        Ok(match self.algorithm {
            None => exchange,
            Some(algorithm) => exchange.with_algorithm(algorithm)?,
        })
    }
}

fn messages(algorithm: Option<Algorithm>) -> Result<(), Failure> {
    let universe = universe()?;
    let outcomes = run_messages(&mut Ranks { world: universe.world(), algorithm, groups: None });
    report(&outcomes)
}

fn passes(algorithm: Option<Algorithm>, groups: Option<usize>) -> Result<(), Failure> {
    let universe = universe()?;
    let context = Context::new_blocking()?;
    let mut ranks = Ranks { world: universe.world(), algorithm, groups };
    report(&run_passes(&mut ranks, &context))?;
    let mut run = 0;
    for path in find_cases([Path::new(CASES)])? {
        let case = Case::load(&path)?;
        if matches!(case.kind, Kind::Sync { .. }) {
            let end = ranks.connect(LIMIT)?;
            pollster::block_on(verify_replica(&context, &case, &end))
                .map_err(|error| format!("{}: {error}", case.name))?;
            run += 1;
        }
    }
    if run == 0 { Err(format!("{CASES} has no cases of kind sync").into()) } else { Ok(()) }
}

/// A layer's statistics and results, by each way that records can go: the ranks have different samples.
fn algorithms_agree() -> Result<(), Failure> {
    let universe = universe()?;
    let (world, context) = (universe.world(), Context::new_blocking()?);
    let options = Options { weight: false, bias: false, running_statistics: false, ..Options::new(33) };
    let batch_norm = BatchNorm::new(&context, options)?;
    let mut first: Option<Vec<u32>> = None;
    for algorithm in [
        Algorithm::Direct,
        Algorithm::Bruck,
        Algorithm::TwoLevel { node: 1 },
        Algorithm::TwoLevel { node: 2 },
        Algorithm::TwoLevel { node: 8 },
    ] {
        let exchange = MpiExchange::over(&world, LIMIT)?.with_algorithm(algorithm)?;
        let shape = Shape::new(&[2 + exchange.rank(), 33, 5], Layout::ChannelsFirst)?;
        let values = (0..shape.elements()).map(|i| (i as f32 * 0.37 + exchange.rank() as f32).sin() * 1e3);
        let x = Tensor::upload(&context, shape, &values.collect::<Vec<_>>())?;
        let (y, saved) = (Tensor::zeros(&context, shape)?, SavedStatistics::new(&context, 33)?);
        let tensors = ForwardTensors::new(x.range().clone(), y.range().clone(), &saved);
        let layer = Synchronized::new(&batch_norm, &exchange);
        pollster::block_on(layer.submit_forward(&shape, &tensors))?;
        let statistics = saved.download_blocking(&context)?;
        let values = [y.download_blocking()?, statistics.mean, statistics.var].concat();
        let bits: Vec<u32> = values.into_iter().map(f32::to_bits).collect();
        if *first.get_or_insert_with(|| bits.clone()) != bits {
            return Err(format!("{algorithm:?} gives other bits").into());
        }
    }
    Ok(())
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

/// To start an exchange takes no waiting, even if the message is long and the other rank not there yet: that one starts
/// when it is told that the first one has.
fn starts() -> Result<(), Failure> {
    let universe = universe()?;
    let world = universe.world();
    let (exchange, signal) = (MpiExchange::over(&world, LIMIT)?, MpiExchange::over(&world, LIMIT)?);
    for bytes in [1_304, 2_000_000] {
        if exchange.rank() == 1 {
            signal.all_gather(&[])?;
            exchange.start(vec![1; bytes])?.wait()?;
            continue;
        }
        let mut round = exchange.start(vec![1; bytes])?;
        if round.is_complete()? {
            return Err(format!("{bytes} bytes are here before they were sent").into());
        }
        signal.all_gather(&[])?;
        round.wait()?;
    }
    Ok(())
}

fn chosen_late() -> Result<(), Failure> {
    let universe = universe()?;
    let exchange = MpiExchange::over(&universe.world(), LIMIT)?.with_algorithm(Algorithm::Bruck)?;
    exchange.all_gather(&[1])?;
    match exchange.with_algorithm(Algorithm::Direct) {
        Err(MpiError::Started { rounds: 1 }) => Ok(()),
        result => Err(format!("expected that it is too late, got {result:?}").into()),
    }
}

/// Has the last rank wait until all others have said something.
fn wait_for_others(world: &SimpleCommunicator) {
    let last = world.size() - 1;
    if world.rank() < last {
        world.process_at_rank(last).send(&1u8);
        return;
    }
    for rank in 0..last {
        let _: (u8, _) = world.process_at_rank(rank).receive();
    }
}

/// A rank comes when the others have given up to make an exchange, each in its way; all try again.
fn late() -> Result<(), Failure> {
    type Make = fn(&SimpleCommunicator, Duration) -> Result<MpiExchange, MpiError>;
    let ways: [(Make, usize); 3] = [
        (|world, limit| MpiExchange::over(world, limit), 3),
        (|world, limit| MpiExchange::within_node(world, limit), 3),
        (|world, limit| MpiExchange::groups_of(3, world, limit), 3),
    ];
    let universe = universe()?;
    let world = universe.world();
    for (make, replicas) in ways {
        if world.rank() < world.size() - 1 {
            match make(&world, SHORT) {
                Err(MpiError::NotAllArrived { ranks: 3, limit: SHORT }) => {}
                result => return Err(format!("expected that a rank is missed, got {result:?}").into()),
            }
        }
        wait_for_others(&world);
        let exchange = make(&world, LIMIT)?;
        let heard = exchange.all_gather(&[exchange.rank() as u8])?;
        if exchange.replicas() != replicas || heard != [[0], [1], [2]] {
            return Err(format!("{exchange:?} heard {heard:?}").into());
        }
    }
    Ok(())
}

/// The same, but the others do not try again: the late one gets an error, from the making or from the first round, and
/// nobody hangs, not at the end of MPI either.
fn given_up() -> Result<(), Failure> {
    let universe = universe()?;
    let world = universe.world();
    let last = world.size() - 1;
    if world.rank() < last {
        let result = MpiExchange::over(&world, SHORT).map(drop);
        wait_for_others(&world);
        let _: (u8, _) = world.process_at_rank(last).receive();
        return match result {
            Err(MpiError::NotAllArrived { ranks: 3, limit: SHORT }) => Ok(()),
            result => Err(format!("expected that a rank is missed, got {result:?}").into()),
        };
    }
    wait_for_others(&world);
    let result = MpiExchange::over(&world, SHORT).map(|exchange| exchange.all_gather(&[1]));
    for rank in 0..last {
        world.process_at_rank(rank).send(&1u8);
    }
    match result {
        Err(MpiError::NotAllArrived { .. }) => Ok(()),
        Ok(Err(ExchangeError::TimedOut { missing, .. })) if missing == [0, 1] => Ok(()),
        result => Err(format!("expected that the others are missed, got {result:?}").into()),
    }
}

/// Where records go through other ranks, a rank that is missing keeps some from sending that are there. On a machine that
/// keeps a rank from answering these are named too, so it is tried more than once.
fn culprits() -> Result<(), Failure> {
    const ATTEMPTS: usize = 8;
    let universe = universe()?;
    let world = universe.world();
    let signal = MpiExchange::over(&world, LIMIT)?;
    for algorithm in [Algorithm::Bruck, Algorithm::TwoLevel { node: 2 }] {
        let mut named = Vec::new();
        for _ in 0..ATTEMPTS {
            // The one that others ask hears of it by their leaving, not by its own limit, and keeps its round.
            let limit = if world.rank() == 2 { LIMIT } else { SHORT };
            let exchange = MpiExchange::over(&world, LIMIT)?.with_algorithm(algorithm)?.with_limit(limit);
            signal.all_gather(&[])?;
            let mut round = if exchange.rank() == 3 { None } else { Some(exchange.start(vec![1])?) };
            let result = round.as_mut().map(|round| {
                loop {
                    match round.is_complete() {
                        Ok(false) => std::thread::yield_now(),
                        result => break result,
                    }
                }
            });
            let missing: Vec<u8> = match result {
                None | Some(Err(ExchangeError::Left { .. })) => Vec::new(),
                Some(Err(ExchangeError::TimedOut { missing, .. })) if missing.contains(&3) => {
                    missing.into_iter().map(|rank| rank as u8).collect()
                }
                result => return Err(format!("expected that 3 is missed, got {result:?}").into()),
            };
            // The same on each rank, so that all go on or none.
            named = signal.all_gather(&missing)?.into_iter().filter(|missing| !missing.is_empty()).collect();
            if !named.is_empty() && named.iter().all(|missing| *missing == [3]) {
                break;
            }
        }
        if named.is_empty() || named.iter().any(|missing| *missing != [3]) {
            return Err(format!("{algorithm:?}: {named:?} are missed, expected 3 alone").into());
        }
    }
    Ok(())
}

fn endless() -> Result<(), Failure> {
    let universe = universe()?;
    say(&format!("rank {} is here", universe.world().rank()));
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
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
    let world = universe.world();
    let limit = if signal == "STOP" { SHORT } else { LIMIT };
    let exchange = MpiExchange::over(&world, LIMIT)?.with_limit(limit);
    MpiExchange::over(&world, LIMIT)?.all_gather(&[1])?;
    if exchange.rank() == 1 {
        let own = std::process::id().to_string();
        Command::new("kill").args(["-s", signal, &own]).status()?;
    }
    let error = exchange.all_gather(&[2; 2_000_000]).err().ok_or("nobody is missed")?;
    // Others that a busy machine keeps waiting may be missed too.
    if matches!(&error, ExchangeError::TimedOut { missing, .. } if missing.contains(&1)) {
        say("rank 1 is missed");
    }
    say(&error.to_string());
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
        // It goes to the end of MPI, where it waits for the others.
        return Ok(());
    }
    let error = MpiExchange::over(&universe.world(), SHORT).err().ok_or("nobody is missed")?;
    say(&error.to_string());
    std::process::exit(3);
}

fn other_algorithms() -> Result<(), Failure> {
    let universe = universe()?;
    let exchange = MpiExchange::over(&universe.world(), LIMIT)?.with_limit(SHORT);
    let algorithm = if exchange.rank() == 3 { Algorithm::Bruck } else { Algorithm::TwoLevel { node: 2 } };
    let exchange = exchange.with_algorithm(algorithm)?;
    match exchange.all_gather(&[1]) {
        Err(ExchangeError::TimedOut { .. } | ExchangeError::Left { .. } | ExchangeError::Transport(_)) => {
            Ok(())
        }
        result => Err(format!("expected an error, got {result:?}").into()),
    }
}
