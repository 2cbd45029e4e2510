//! Trains a small network on handwritten digits, with few samples a rank: with synchronized batch normalization, without,
//! and on one device with all samples.
//!
//! ```sh
//! cargo build --release -p wgpu-batchnorm-mpi --example digits
//! mpirun --oversubscribe -n 4 target/release/examples/digits --out target
//! ```
//!
//! The first two train on the same batches of 8 samples, divided among the ranks; the third has them on one device. The
//! network and its training are in `crates/digits`: they know nothing of MPI.

mod picture;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use mpi::Threading;
use std::path::PathBuf;
use std::time::Duration;
use wgpu_batchnorm::{Context, Exchange as _};
use wgpu_batchnorm_digits::replicas::{BATCH, Shuffled, Training, largest_difference, late};
use wgpu_batchnorm_mpi::MpiExchange;

/// Of the samples' order, and of the first parameters.
const SEEDS: (u64, u64) = (7, 3);
/// How long ranks wait for one another; the first one trains alone for a while.
const LIMIT: Duration = Duration::from_secs(300);

/// Train on handwritten digits on the ranks of an MPI job, with synchronized batch normalization and without.
#[derive(Parser)]
#[command(after_help = "Example: mpirun -n 4 target/release/examples/digits --out /tmp/digits")]
struct Arguments {
    /// Steps of 8 samples.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(40..))]
    steps: u32,
    /// Write digits.svg and digits.html into this folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).context("MPI runs already")?;
    let result = train(&arguments, &universe.world());
    if let Err(error) = &result {
        // The end of MPI waits for all ranks, and they for this one.
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
    result
}

fn train(arguments: &Arguments, world: &mpi::topology::SimpleCommunicator) -> anyhow::Result<()> {
    let digits = Shuffled::load(SEEDS.0)?;
    let all = MpiExchange::over(world, LIMIT)?;
    let alone = MpiExchange::groups_of(1, world, LIMIT)?;
    let (rank, ranks) = (all.rank(), all.replicas());
    if !BATCH.is_multiple_of(ranks) || BATCH == ranks {
        bail!(
            "{ranks} ranks, expected 1, 2 or 4: each needs the same number of the {BATCH} samples, 2 or more"
        );
    }
    let context = Context::new_blocking()?;
    let training = Training { digits: &digits, seed: SEEDS.1, steps: arguments.steps as usize };
    let run =
        |statistics: &MpiExchange, gradients: &MpiExchange| training.run(&context, statistics, gradients);
    let synchronized = run(&all, &all)?;
    let separate = run(&alone, &all)?;
    if rank != 0 {
        return Ok(());
    }
    let one_device = run(&alone, &alone)?;
    let curves = [
        (format!("{ranks} ranks of {} samples, synchronized", BATCH / ranks), synchronized),
        (format!("one device with {BATCH} samples"), one_device),
        (format!("{ranks} ranks of {} samples, not synchronized", BATCH / ranks), separate),
    ];
    println!("{}", picture::table(&curves));
    let [(_, synchronized), (_, one_device), (_, separate)] = &curves;
    let largest = largest_difference(synchronized, one_device);
    let times = late(separate) / late(one_device);
    println!(
        "Synchronized and on one device the losses differ by {largest:.1e} at most; without synchronization the loss of \
         the second half is {times:.1} times as high."
    );
    for path in picture::write(&arguments.out, &curves)? {
        println!("Written: {}", path.display());
    }
    ensure!(
        largest < 1e-2,
        "synchronized training is not that of one device: losses differ by {largest:.1e}"
    );
    ensure!(
        ranks < 4 || times > 1.2,
        "training without synchronization is expected to be worse, the loss is {times:.2} times as high"
    );
    Ok(())
}
