//! The `batchnorm` program: which adapters there are, whether the results are right on them, and how fast;
//! and which layers a checkpoint has.

mod adapter;
mod bench;
mod environment;
mod info;
mod progress;
mod state;
mod traversal;
mod tune;
mod verify;

use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;

/// Training batch normalization on wgpu: adapters, verification, benchmarks, tuning and checkpoints.
#[derive(Parser)]
#[command(version, after_help = "Example: batchnorm bench --shapes quick --layout both")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    State(state::Arguments),
    Tune(tune::Arguments),
}

fn main() -> ExitCode {
    let out = &mut io::stdout().lock();
    let result = match Arguments::parse().command {
        Command::Info(arguments) => info::run(&arguments, out),
        Command::Verify(arguments) => verify::run(&arguments, out),
        Command::Bench(arguments) => bench::run(&arguments, out),
        Command::State(arguments) => state::run(&arguments, out),
        Command::Tune(arguments) => tune::run(&arguments, out),
    };
    match result {
        Ok(status) => status,
        // Who read the output has seen enough, as in `batchnorm verify … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            report(&error, &mut io::stderr());
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// Writes the error and what caused it, a line each; a cause that the line before quotes is left out.
fn report(error: &anyhow::Error, err: &mut dyn Write) {
    let mut previous = error.to_string();
    // Nothing is left to tell it to if stderr is gone.
    let _ = writeln!(err, "error: {previous}");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !previous.contains(&cause) {
            let _ = writeln!(err, "  because: {cause}");
        }
        previous = cause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn causes_are_reported_once() {
        let error = anyhow::anyhow!("no such file").context("cannot read it: no such file");
        let mut lines = Vec::new();
        report(&error.context("cannot verify"), &mut lines);
        let lines = String::from_utf8_lossy(&lines);
        assert_eq!(lines, "error: cannot verify\n  because: cannot read it: no such file\n");
    }
}
