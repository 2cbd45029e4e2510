//! The commands of a fresh machine, `bench` and `test`, and checks of the workspace.

mod adapter;
mod apt;
mod bench;
mod bundle;
mod burn;
mod cargo;
mod lab;
mod mpi;
mod msrv;
mod passed_on;
mod swiftshader;
mod system;
mod targets;
mod test;
mod test_web;
mod tools;
mod web;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;

/// Commands that work on a fresh machine with a Rust toolchain and a C compiler.
///
/// `bench`, `test` and `lab` need an adapter. Where there is none, they install Mesa's software adapter on
/// Debian and Ubuntu, and elsewhere say what to install; `test-mpi` and `sync-bench` do the same with Open MPI,
/// `test-web` on Debian with Chromium and Node.js. `web` and `test-web` build wasm-bindgen's programs once.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = "Example: cargo xtask test")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Arguments),
    Test(test::Arguments),
    Bundle(bundle::Arguments),
    Targets(targets::Arguments),
    Msrv(msrv::Arguments),
    Swiftshader(swiftshader::Arguments),
    Web(web::Arguments),
    TestWeb(test_web::Arguments),
    TestMpi(mpi::TestArguments),
    TestBurn(burn::Arguments),
    SyncBench(mpi::BenchArguments),
    Lab(lab::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse_from(passed_on::mark(std::env::args_os()));
    let arguments = arguments.unwrap_or_else(|error| with_known_commands(error).exit());
    let result = match arguments.command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bundle(arguments) => bundle::run(&arguments),
        Command::Targets(arguments) => targets::run(&arguments),
        Command::Msrv(arguments) => msrv::run(&arguments),
        Command::Swiftshader(arguments) => swiftshader::run(&arguments),
        Command::Web(arguments) => web::run(&arguments),
        Command::TestWeb(arguments) => test_web::run(&arguments),
        Command::TestMpi(arguments) => mpi::test(&arguments),
        Command::TestBurn(arguments) => burn::run(&arguments),
        Command::SyncBench(arguments) => mpi::bench(&arguments),
        Command::Lab(arguments) => lab::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Has the error about an unknown command list the known ones.
fn with_known_commands(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand {
        let command = Arguments::command();
        let known: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        let tip = format!("the commands are {}", known.join(", "));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_unknown_command_lists_the_known_ones() {
        let error = Arguments::try_parse_from(["xtask", "build"]).map(|_| ());
        let error = error.map_err(|error| with_known_commands(error).to_string());
        let lists = |error: &String| {
            error.contains("the commands are bench, test, bundle, targets, msrv, swiftshader, web, test-web")
        };
        assert!(error.as_ref().is_err_and(lists), "{error:?}");
    }

    #[test]
    fn each_help_has_an_example() {
        for command in Arguments::command().get_subcommands() {
            let example = format!("Example: cargo xtask {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&example), "{help}");
        }
    }
}
