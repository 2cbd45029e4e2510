//! `batchnorm verify`: oracle cases, computed on an adapter and judged.

mod destination;

use crate::environment::{Environment, write_json};
use crate::traversal::Forced;
use crate::{adapter, progress};
use destination::Destination;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgpu_batchnorm::Context;
use wgpu_batchnorm_oracle::{Case, Report, Tally, find_cases, name_of, run_case};

/// Run oracle cases on the adapter and judge the results by the bounds that the cases state.
#[derive(clap::Args)]
#[command(after_help = "\
Example: batchnorm verify tests/cases --save-outputs /tmp/outputs

A line for each case: its verdict, its worst error in units of the bound that it must meet, and in units \
of the error of PyTorch's float32 result. What is not implemented yet, or cannot be traversed in the way that \
--traversal asks for, is skipped, and the reason is given. A file without expected \
values is computed, and counts as passed. The exit status is 1 if a case failed.")]
pub(crate) struct Arguments {
    /// Case files, and folders that are searched for *.safetensors; links are followed.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write what was computed into this folder, a safetensors file for each case.
    #[arg(long, value_name = "DIR")]
    save_outputs: Option<PathBuf>,
    /// Run on the first adapter whose name contains this; see `batchnorm info`.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    #[command(flatten)]
    forced: Forced,
    /// Write all verdicts, tensor by tensor, into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Record {
    #[serde(flatten)]
    environment: Environment,
    #[serde(flatten)]
    forced: Forced,
    #[serde(flatten)]
    tally: Tally,
    cases: Vec<Report>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let paths = find_cases(&arguments.paths)?;
    if paths.is_empty() {
        let searched: Vec<_> = arguments.paths.iter().map(|path| path.display().to_string()).collect();
        anyhow::bail!("no cases in {}: give *.safetensors files, or folders of them", searched.join(", "));
    }
    let destination =
        arguments.save_outputs.as_ref().map(|folder| Destination::new(folder, &paths)).transpose()?;
    let context = arguments.forced.on(&adapter::open(arguments.adapter.as_deref())?);
    let environment = Environment::of(&context);
    writeln!(out, "{} on {}", counted(paths.len(), "case"), environment.adapter)?;

    let width = paths.iter().map(|path| name_of(path).chars().count()).max().unwrap_or(0);
    let bar = progress::bar(paths.len());
    let mut cases = Vec::with_capacity(paths.len());
    for path in &paths {
        bar.set_message(name_of(path));
        let report = verify(&context, path, destination.as_ref());
        bar.suspend(|| report.write(width, out))?;
        bar.inc(1);
        cases.push(report);
    }
    bar.finish_and_clear();

    let tally = Tally::of(&cases);
    if let Some(path) = &arguments.json {
        write_json(path, &Record { environment, forced: arguments.forced, tally, cases })?;
    }
    writeln!(out, "{tally}")?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Computes, saves and judges one case; whatever goes wrong is its verdict.
fn verify(context: &Context, path: &Path, destination: Option<&Destination>) -> Report {
    let case = match Case::load(path) {
        Ok(case) => case,
        Err(error) => return Report::failed(path, error.to_string()),
    };
    let result = pollster::block_on(run_case(context, &case));
    // Also what fails is saved: that is when one wants to look at it.
    let outputs = result.as_ref().ok();
    let saved = destination.zip(outputs).map(|(destination, outputs)| destination.save(path, outputs));
    match (saved.transpose(), outputs) {
        (Err(error), _) => Report::failed(path, format!("{error:#}")),
        (Ok(saved), Some(outputs)) if !case.is_judged() => Report::computed(path, outputs, saved.as_deref()),
        (Ok(_), _) => Report::of(path, &case, &result),
    }
}

/// `1 case`, `2 cases`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
