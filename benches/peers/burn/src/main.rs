//! `burn::nn::BatchNorm` of burn 0.22.1 in training, timed on the shapes of the benchmark.
//!
//! Forward and backward are timed apart, in float32, channels first, on the adapter that burn's
//! wgpu backend takes by default, or on the CPU (burn-flex). Nothing is checked here: on Mesa lavapipe
//! burn's reductions over 262,144 elements or more come out wrong (its loops end after 65,535
//! iterations), so the largest shapes do a little less work there than they should.

mod measure;
mod report;
mod shapes;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use clap::{Parser, ValueEnum};

use measure::{Settings, Timing};
use report::{Report, Row};
use shapes::{ShapeSet, Sizes};

/// Times burn's batch normalization in training, forward and backward apart.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What burn runs on.
    #[arg(long, value_enum, default_value = "wgpu")]
    backend: Backend,
    /// A list of shapes by its name.
    #[arg(long, value_enum, default_value = "quick", conflicts_with = "shape")]
    shapes: ShapeSet,
    /// One shape, `N,C` and up to three spatial sizes; may be repeated.
    #[arg(long)]
    shape: Vec<Sizes>,
    /// Replaces N, the first size of each shape.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// How often each pass is timed, after the warm-up.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Tensors take turns until so many MiB lie between two uses of one, so that no cache holds them.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    cache_mib: u32,
    /// One set of tensors in all steps, which a cache may hold.
    #[arg(long, conflicts_with = "cache_mib")]
    warm_cache: bool,
    /// Write the rows to this file, as JSON, after each shape.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    /// The default adapter of burn's wgpu backend.
    Wgpu,
    /// The CPU.
    Flex,
}

impl Backend {
    /// Its device, the name of the peer, and what it runs on.
    fn open(self) -> Result<(Device, &'static str, String), Box<dyn Error>> {
        match self {
            Self::Wgpu => {
                let (device, setup) = Device::wgpu_options().init_with_setup()?;
                let adapter = setup.adapter.get_info();
                let adapter = format!("{} ({}, {})", adapter.name, adapter.backend, adapter.driver_info);
                Ok((device, "burn 0.22.1 wgpu", adapter))
            }
            Self::Flex => {
                let threads = std::thread::available_parallelism()?;
                Ok((Device::flex(), "burn 0.22.1 flex", format!("CPU, {threads} threads")))
            }
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer-burn: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let (device, peer, adapter) = arguments.backend.open()?;
    let device = device.autodiff();
    let cache_bytes = if arguments.warm_cache { 0 } else { u64::from(arguments.cache_mib) << 20 };
    let settings = Settings { repetitions: arguments.repetitions, cache_bytes };
    let shapes = if arguments.shape.is_empty() { arguments.shapes.sizes()? } else { arguments.shape.clone() };
    let mut report = Report::new(peer, adapter);
    report.print_head();
    for sizes in shapes {
        let Sizes(sizes) = arguments.batch.map_or(sizes.clone(), |batch| sizes.with_batch(batch as usize));
        let Timing { ms, sets } = measure::batch_norm(&sizes, settings, &device)?;
        for (pass, ms) in measure::PASSES.into_iter().zip(ms) {
            report.push(Row::new(&sizes, pass, ms, sets));
        }
        // What was measured before an error or a time limit is not lost.
        if let Some(path) = &arguments.json {
            report.write(path)?;
        }
    }
    Ok(())
}
