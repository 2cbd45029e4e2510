//! What synchronization takes: measured for 2, 4 and 8 ranks of this machine, and predicted for more on others.
//! `cargo xtask sync-bench` runs it all.

mod link;
mod passes;
mod record;
mod report;
mod resnet;
mod stopwatch;
mod verdict;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use mpi::Threading;
use mpi::topology::{Color, Communicator as _, SimpleCommunicator};
use mpi::traits::CommunicatorCollectives as _;
use record::Record;
use resnet::Resnet50;
use std::path::PathBuf;
use std::time::Duration;
use wgpu_batchnorm::Context;
use wgpu_batchnorm_mpi::MpiExchange;

/// How long ranks wait for one another.
const LIMIT: Duration = Duration::from_secs(120);
/// Numbers of ranks to measure.
const RANKS: [usize; 3] = [2, 4, 8];

/// Measure what synchronized batch normalization takes, and predict it for other numbers of ranks.
#[derive(Parser)]
#[command(after_help = "Example: mpirun -n 8 sync measure --json memory.json")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Under mpirun with 2, 4 or 8 ranks: the exchanges alone, and the passes of ResNet-50's layers.
    Measure {
        #[command(flatten)]
        what: Measured,
    },
    /// Under mpirun with 2, 4 or 8 ranks: the exchanges alone.
    Link {
        #[command(flatten)]
        what: Measured,
    },
    Report(report::Arguments),
    /// Fail if there is no adapter.
    Adapter,
}

#[derive(clap::Args)]
struct Measured {
    /// Where the first rank writes what was measured.
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Measure little, to see that it can be measured; times say nothing then.
    #[arg(long)]
    quick: bool,
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    /// Exchanges alone: how many in a row, and how often.
    exchanges: [usize; 2],
    /// Passes: first so many that are not counted, then so many that are.
    passes: [usize; 2],
    /// Of the sizes and layers, one in so many.
    step: usize,
}

impl Effort {
    fn new(quick: bool) -> Self {
        match quick {
            true => Self { exchanges: [2, 3], passes: [1, 3], step: 3 },
            false => Self { exchanges: [10, 15], passes: [3, 25], step: 1 },
        }
    }
}

fn main() -> anyhow::Result<()> {
    let (what, with_passes) = match Arguments::parse().command {
        Command::Report(arguments) => return report::run(&arguments),
        Command::Adapter => return Ok(Context::new_blocking().map(drop)?),
        Command::Measure { what } => (what, true),
        Command::Link { what } => (what, false),
    };
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).context("MPI runs already")?;
    let world = universe.world();
    match measure(&world, what.quick, with_passes) {
        Ok(record) if world.rank() == 0 => record.write(&what.json),
        Ok(_) => Ok(()),
        Err(error) => {
            // The end of MPI waits for all ranks, and they for this one.
            eprintln!("error: {error:#}");
            std::process::exit(1);
        }
    }
}

fn measure(world: &SimpleCommunicator, quick: bool, with_passes: bool) -> anyhow::Result<Record> {
    let (mut record, effort, resnet) =
        (Record::new(with_passes, quick), Effort::new(quick), Resnet50::load()?);
    let context = if with_passes { Some(Context::new_blocking()?) } else { None };
    if let Some(context) = &context {
        record.adapter = Some(context.device().adapter_info().name.clone());
    }
    for ranks in RANKS {
        if usize::try_from(world.size())? < ranks {
            break;
        }
        let takes_part = usize::try_from(world.rank())? < ranks;
        let group = world.split_by_color(Color::with_value(i32::from(takes_part)));
        if takes_part && let Some(group) = &group {
            record.points.extend(link::measure(group, effort)?);
            if let Some(context) = &context {
                let exchange = MpiExchange::over(group, LIMIT)?;
                record.rows.extend(passes::measure(
                    context,
                    &exchange,
                    group,
                    &resnet.of_each_width(),
                    effort,
                )?);
            }
        }
        wait_quietly(world);
    }
    Ok(record)
}

/// Waits for all ranks without taking a core from those that measure.
fn wait_quietly(world: &SimpleCommunicator) {
    let mut barrier = world.immediate_barrier();
    while let Err(request) = barrier.test() {
        barrier = request;
        std::thread::sleep(Duration::from_millis(2));
    }
}
