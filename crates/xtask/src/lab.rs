//! `cargo xtask lab`: the lab, on a machine that may lack an adapter.

use crate::{adapter, burn, cargo};
use anyhow::Context as _;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Train small networks with and without batch normalization, and write what came of it to target/lab/report.html.
///
/// burn takes some 20 minutes to compile, once; with --quick some 10, since it is not optimized then.
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
    let is_lab = |artifact: &cargo_metadata::Artifact| artifact.target.name == "lab";
    let mut build = vec!["build"];
    build.extend(burn::TOGETHER);
    // Optimized, all experiments take a third of the time; a few steps do not pay for it.
    let is_quick = arguments.passed_on.iter().any(|argument| argument == "--quick");
    build.extend(if is_quick { &burn::PROFILE[..] } else { &["--release"] });
    let mut lab = Command::new(cargo::build(&build, &[], is_lab)?);
    lab.current_dir(cargo::ROOT).args(&arguments.passed_on);
    let status = adapter::with_runtime_folder(&mut lab).status().context("cannot run the lab")?;
    Ok(cargo::exit_code(status))
}
