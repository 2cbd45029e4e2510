//! `cargo xtask test-burn`: what is built on burn, on a machine that may lack an adapter.

use crate::{adapter, cargo};
use anyhow::Context as _;
use std::process::ExitCode;

/// All that is built on burn. cargo gives dependencies the features that all packages of a command want: as long as these are
/// always named together, burn is compiled only once.
pub(crate) const TOGETHER: [&str; 4] = ["-p", "burn-batchnorm", "-p", "lab"];

/// In which burn compiles fast: what computes is the adapter.
pub(crate) const PROFILE: [&str; 2] = ["--profile", "burn"];

/// Run the tests of the layer for burn, and of the lab.
///
/// They are built in a profile of their own, in which burn compiles fast: that takes some 10 minutes once. Where there is
/// no adapter, Mesa's is installed on Debian and Ubuntu.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask test-burn --without-fusion")]
pub(crate) struct Arguments {
    /// Without burn's fusion, for which burn is compiled once more.
    #[arg(long)]
    without_fusion: bool,
    /// Compile the tests, but do not run them.
    #[arg(long)]
    no_run: bool,
    /// Run only the tests whose name contains this.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if !arguments.no_run {
        let program = cargo::build_program(&["build", "-p", "wgpu-batchnorm-cli"])?;
        adapter::ensure(&program)?;
    }
    let mut test = cargo::command();
    test.arg("test").args(PROFILE).args(TOGETHER);
    if arguments.without_fusion {
        test.arg("--no-default-features");
    }
    if arguments.no_run {
        test.arg("--no-run");
    }
    test.args(&arguments.filter);
    let status = adapter::with_runtime_folder(&mut test).status().context("cannot run cargo test")?;
    Ok(cargo::exit_code(status))
}
