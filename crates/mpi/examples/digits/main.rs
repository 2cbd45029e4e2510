//! Trains a small network on handwritten digits, with few samples a rank: with synchronized batch normalization, without,
//! and on one device with all samples.
//!
//! ```sh
//! cargo build --release -p wgpu-batchnorm-mpi --example digits
//! mpirun --oversubscribe -n 4 target/release/examples/digits --out target
//! ```
//!
//! The first two train on the same batches of 8 samples, divided among the ranks; the third has them on one device. The
//! linear layers are plain loops on the host, whose gradients the ranks add up, as any data-parallel program does.

mod data;
mod net;
mod picture;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use data::Shuffled;
use mpi::Threading;
use net::Net;
use std::path::PathBuf;
use std::time::Duration;
use wgpu_batchnorm::{Context, Exchange as _};
use wgpu_batchnorm_mpi::MpiExchange;

/// Samples of a step, of all ranks together.
const BATCH: usize = 8;
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

/// The loss of every step.
type Curve = Vec<f64>;

fn train(arguments: &Arguments, world: &mpi::topology::SimpleCommunicator) -> anyhow::Result<()> {
    let digits = Shuffled::load()?;
    let all = MpiExchange::over(world, LIMIT)?;
    let alone = MpiExchange::groups_of(1, world, LIMIT)?;
    let (rank, ranks) = (all.rank(), all.replicas());
    if !BATCH.is_multiple_of(ranks) || BATCH == ranks {
        bail!(
            "{ranks} ranks, expected 1, 2 or 4: each needs the same number of the {BATCH} samples, 2 or more"
        );
    }
    let context = Context::new_blocking()?;
    let run = |statistics: &MpiExchange, gradients: &MpiExchange| -> anyhow::Result<Curve> {
        let mut net = Net::new(&context, statistics, gradients)?;
        let samples = BATCH / gradients.replicas();
        let steps = 0..arguments.steps as usize;
        steps
            .map(|step| {
                let batch = digits.batch(step, BATCH);
                let first = gradients.rank() * samples;
                let own = batch.get(first..first + samples).context("a batch is too short")?;
                net.step(own, BATCH)
            })
            .collect()
    };
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
    let differences = synchronized.iter().zip(one_device).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f64::max);
    let late = |curve: &Curve| {
        let half = curve.len() / 2;
        curve.iter().skip(half).sum::<f64>() / (curve.len() - half) as f64
    };
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
