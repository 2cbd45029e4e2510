//! `cargo xtask test`: all tests, on a machine that may lack an adapter.

use crate::{adapter, cargo};
use anyhow::Context as _;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// Tests that need an adapter are ignored without one; with this set to 1 they fail.
const REQUIRE_ADAPTER: &str = "BATCH_NORM_REQUIRE_ADAPTER";

/// Run all tests: `cargo test`, where needed with an adapter installed first.
///
/// BATCH_NORM_REQUIRE_ADAPTER=1 is set for them, so that tests which need an adapter fail without one
/// instead of being ignored.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask test -- --nocapture")]
pub(crate) struct Arguments {
    /// Passed on to `cargo test`.
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) passed_on: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // What the tests need in any case, the program included.
    let mut build: Vec<&OsStr> = vec!["test".as_ref(), "--no-run".as_ref()];
    build.extend(of_the_build(&arguments.passed_on));
    let program = cargo::build_program(&build)?;
    adapter::ensure(&program)?;
    let mut test = cargo::command();
    test.arg("test").args(&arguments.passed_on).env(REQUIRE_ADAPTER, "1");
    let status = adapter::with_runtime_folder(&mut test).status().context("cannot run cargo test")?;
    Ok(cargo::exit_code(status))
}

/// Those arguments of `cargo test` with which the build before it makes what the tests use too.
fn of_the_build(arguments: &[OsString]) -> impl Iterator<Item = &OsStr> {
    let known = ["--release", "-r", "--locked", "--offline", "--frozen"];
    let for_cargo = arguments.iter().take_while(|argument| *argument != "--");
    for_cargo.map(OsString::as_os_str).filter(move |argument| known.iter().any(|known| argument == known))
}

#[cfg(test)]
mod tests {
    use super::of_the_build;
    use std::ffi::OsString;

    #[test]
    fn the_build_takes_its_arguments_only() {
        let line = "--locked name -p wgpu-batchnorm --doc --release -- -r --frozen";
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(of_the_build(&arguments).collect::<Vec<_>>(), ["--locked", "--release"]);
    }
}
