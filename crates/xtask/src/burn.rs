//! `cargo xtask test-burn`: the layer for burn, on a machine that may lack an adapter.

use crate::{adapter, cargo};
use anyhow::Context as _;
use std::process::ExitCode;

const PACKAGE: &str = "burn-batchnorm";

/// Run the tests of the layer for burn.
///
/// They are built in a profile of their own, in which burn compiles fast: that takes some 10 minutes once. Where there is
/// no adapter, Mesa's is installed on Debian and Ubuntu.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask test-burn --without-fusion")]
pub(crate) struct Arguments {
    /// Without burn's fusion, for which most of burn is compiled once more.
    #[arg(long)]
    without_fusion: bool,
    /// Run only the tests whose name contains this.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let program = cargo::build_program(&["build", "-p", "wgpu-batchnorm-cli"])?;
    adapter::ensure(&program)?;
    let mut test = cargo::command();
    test.args(["test", "--profile", "burn", "-p", PACKAGE]);
    if arguments.without_fusion {
        test.arg("--no-default-features");
    }
    test.args(&arguments.filter);
    let status = adapter::with_runtime_folder(&mut test).status().context("cannot run cargo test")?;
    Ok(cargo::exit_code(status))
}
