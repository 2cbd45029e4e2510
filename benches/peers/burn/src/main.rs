//! `burn::nn::BatchNorm` of burn 0.22.1 in training, timed on the shapes of the benchmark.
//!
//! Forward and backward are timed apart, in float32, channels first, on the adapter that burn's
//! wgpu backend takes by default. Nothing is checked here: on Mesa lavapipe burn's reductions over
//! 262,144 elements or more come out wrong (its loops end after 65,535 iterations), so the largest
//! shapes do a little less work there than they should.

mod measure;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use clap::{Parser, ValueEnum};

use measure::Timing;
use report::{Report, Row};

/// Times burn's batch normalization in training on wgpu, forward and backward apart.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A list of shapes by its name.
    #[arg(long, value_enum, default_value = "quick", conflicts_with = "shape")]
    shapes: ShapeList,
    /// One shape, `N,C` and up to three spatial sizes; may be repeated.
    #[arg(long, value_parser = parse_shape)]
    shape: Vec<Sizes>,
    /// How often each pass is timed, after the warm-up.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Write the rows to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The sizes of one tensor, channels first: `[N, C, spatial…]`.
#[derive(Clone)]
struct Sizes(Vec<usize>);

#[derive(Clone, Copy, ValueEnum)]
enum ShapeList {
    /// Three layers of ResNet-50, small enough for a CPU adapter.
    Quick,
}

impl ShapeList {
    fn sizes(self) -> Vec<Sizes> {
        match self {
            Self::Quick => {
                vec![Sizes(vec![64, 64, 56, 56]), Sizes(vec![32, 256, 14, 14]), Sizes(vec![64, 512, 7, 7])]
            }
        }
    }
}

fn parse_shape(text: &str) -> Result<Sizes, String> {
    let sizes = text
        .split(',')
        .map(|size| match size.trim().parse::<usize>() {
            Ok(0) => Err(format!("size 0 in '{text}', expected at least 1 in every axis")),
            Ok(size) => Ok(size),
            Err(error) => Err(format!("'{size}' in '{text}': {error}, expected sizes like 64,64,56,56")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    match sizes.len() {
        2..=5 => Ok(Sizes(sizes)),
        rank => Err(format!("'{text}' has rank {rank}, expected 2 to 5: N,C and up to three spatial sizes")),
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
    let (device, setup) = Device::wgpu_options().init_with_setup()?;
    let adapter = setup.adapter.get_info();
    let adapter = format!("{} ({}, {})", adapter.name, adapter.backend, adapter.driver_info);
    let device = device.autodiff();

    let shapes = if arguments.shape.is_empty() { arguments.shapes.sizes() } else { arguments.shape.clone() };
    let mut report = Report::new(adapter);
    report.print_head();
    for Sizes(sizes) in &shapes {
        let Timing { forward, backward } = measure::batch_norm(sizes, arguments.repetitions, &device)?;
        report.push(Row::new(sizes, "forward", forward));
        report.push(Row::new(sizes, "backward", backward));
    }
    match &arguments.json {
        Some(path) => report.write(path),
        None => Ok(()),
    }
}
