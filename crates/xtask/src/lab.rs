//! `cargo xtask lab`: the lab, on a machine that may lack an adapter.

use crate::{adapter, cargo};
use anyhow::Context as _;
use std::ffi::OsString;
use std::process::ExitCode;

/// How many kernels burn tries for a shape.
const AUTOTUNE: &str = "CUBECL_AUTOTUNE_LEVEL";

/// Train small networks with and without batch normalization, and write what came of it to target/lab/report.html.
///
/// It is built in a profile of its own, in which burn compiles fast: that takes some 20 minutes once.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask lab --only 1 --only 7")]
pub(crate) struct Arguments {
    /// Passed on to the program: --quick, --only N, --out DIR, --fresh.
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) passed_on: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let program = cargo::build_program(&["build", "-p", "wgpu-batchnorm-cli"])?;
    adapter::ensure(&program)?;
    let mut lab = cargo::command();
    lab.args(["run", "--profile", "burn", "-p", "lab", "--"]).args(&arguments.passed_on);
    // Each product of two matrices has a size of its own here: to try many kernels for each takes longer than it saves.
    if std::env::var_os(AUTOTUNE).is_none() {
        lab.env(AUTOTUNE, "minimal");
    }
    let status = adapter::with_runtime_folder(&mut lab).status().context("cannot run cargo run")?;
    Ok(cargo::exit_code(status))
}
