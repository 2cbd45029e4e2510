//! What synchronization takes: measured for 2, 4 and 8 ranks of this machine, and predicted for more on others.
//! `cargo xtask sync-bench` runs it all.

mod link;
mod passes;
mod record;
mod report;
mod stopwatch;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use mpi::Threading;
use mpi::topology::{Color, Communicator as _, SimpleCommunicator};
use mpi::traits::CommunicatorCollectives as _;
use record::Record;
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
        /// Where the first rank writes what was measured.
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
    },
    /// Under mpirun with 2, 4 or 8 ranks: the exchanges alone.
    Link {
        /// Where the first rank writes what was measured.
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
    },
    Report(report::Arguments),
    /// Fail if there is no adapter.
    Adapter,
}

fn main() -> anyhow::Result<()> {
    let (json, with_passes) = match Arguments::parse().command {
        Command::Report(arguments) => return report::run(&arguments),
        Command::Adapter => return Ok(Context::new_blocking().map(drop)?),
        Command::Measure { json } => (json, true),
        Command::Link { json } => (json, false),
    };
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).context("MPI runs already")?;
    let world = universe.world();
    match measure(&world, with_passes) {
        Ok(record) if world.rank() == 0 => record.write(&json),
        Ok(_) => Ok(()),
        Err(error) => {
            // The end of MPI waits for all ranks, and they for this one.
            eprintln!("error: {error:#}");
            std::process::exit(1);
        }
    }
}

fn measure(world: &SimpleCommunicator, with_passes: bool) -> anyhow::Result<Record> {
    let mut record = Record::new(with_passes);
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
            record.points.extend(link::measure(group)?);
            if let Some(context) = &context {
                let exchange = MpiExchange::over(group, LIMIT)?;
                record.rows.extend(passes::measure(context, &exchange, group)?);
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
