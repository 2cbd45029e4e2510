//! `cargo xtask bench`: the benchmark, on a machine that may lack an adapter.

use crate::{adapter, cargo};
use anyhow::Context as _;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Run the benchmark: `batchnorm bench`, built for release, where needed with an adapter installed first.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask bench --shapes quick --layout both

The benchmark's options: cargo run --release -p wgpu-batchnorm-cli --bin batchnorm -- bench --help")]
pub(crate) struct Arguments {
    /// Passed on to `batchnorm bench`.
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) passed_on: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let program = cargo::build_program(&["build", "--release", "-p", "wgpu-batchnorm-cli"])?;
    adapter::ensure(&program)?;
    let mut bench = Command::new(&program);
    bench.arg("bench").args(&arguments.passed_on);
    let status =
        adapter::with_runtime_folder(&mut bench).status().with_context(|| format!("cannot run {program}"))?;
    Ok(cargo::exit_code(status))
}
