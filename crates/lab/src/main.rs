//! The lab: what batch normalization does, measured by small networks on real data. Thirteen experiments, each of which
//! puts a claim to the test; the report says which held.

mod chart;
mod data;
mod experiment;
mod experiments;
mod kept;
mod net;
mod report;
mod train;

use anyhow::{Context as _, ensure};
use burn::BurnConfig;
use burn::tensor::DeviceKind;
use clap::Parser;
use cubecl::config::autotune::AutotuneLevel;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig as _};
use data::Data;
use experiment::{Experiment, Lab, Outcome, Verdict};
use indicatif::{ProgressBar, ProgressStyle};
use kept::{Kept, Settings};
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Train small networks on handwritten digits, with and without batch normalization, and report which claims about it
/// hold.
///
/// What an experiment has found is kept in the folder, so that an interrupted run goes on where it was.
#[derive(Parser)]
#[command(after_help = "Example: cargo xtask lab --only 1 --only 7")]
struct Arguments {
    /// Try the programs: a few steps, one seed. The results say nothing.
    #[arg(long)]
    quick: bool,
    /// Run only this experiment, from 1 to 13; may be repeated.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=13))]
    only: Vec<u32>,
    /// Where outcomes are kept, and report.html is written.
    #[arg(long, value_name = "DIR", default_value = "target/lab")]
    out: PathBuf,
    /// Run again what is kept.
    #[arg(long)]
    fresh: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { out, quick, .. } = arguments;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    // Both before the first tensor.
    prefer_few_kernels()?;
    let device = burn_batchnorm::init_device(DeviceKind::DefaultDevice)?;
    let settings = Settings { quick: *quick, device: device_name(&device) };
    let device = device.autodiff();
    let mut lab =
        Lab { device, quick: *quick, digits: Arc::new(Data::load()?), progress: ProgressBar::hidden() };

    let mut failed = Vec::new();
    let mut results = Vec::new();
    for experiment in &experiments::ALL {
        let path = out.join(format!("{:02}.json", experiment.number));
        let wanted = arguments.only.is_empty() || arguments.only.contains(&experiment.number);
        let kept = Kept::read(&path, &settings, experiment);
        let again = wanted && arguments.fresh;
        let result = match kept {
            Some(kept) if !again => Some(kept),
            _ if !wanted => None,
            _ => {
                lab.progress = bar(experiment);
                let start = Instant::now();
                let result = (experiment.run)(&lab);
                lab.progress.finish_and_clear();
                let time = start.elapsed();
                match result {
                    // Its placeholder says so; it is asked again next time.
                    Ok(outcome) if outcome.verdict == Verdict::NotRun => {
                        Some(Kept::new(&settings, experiment, time, outcome))
                    }
                    Ok(outcome) => {
                        let kept = Kept::new(&settings, experiment, time, outcome);
                        kept.write(&path)?;
                        Some(kept)
                    }
                    Err(error) => {
                        eprintln!("error: experiment {}: {error:#}", experiment.number);
                        failed.push(experiment.number.to_string());
                        let because = format!("It failed: {error:#}");
                        let outcome = Outcome { verdict: Verdict::NotRun, because, findings: Vec::new() };
                        Some(Kept::new(&settings, experiment, time, outcome))
                    }
                }
            }
        };
        if let Some(Kept { outcome, seconds, .. }) = result.as_ref().filter(|_| wanted) {
            println!(
                "{:2}  {:<12}  {:5.1} s  {}",
                experiment.number,
                outcome.verdict.name(),
                seconds,
                experiment.title
            );
        }
        results.push((experiment, result));
    }
    let path = out.join("report.html");
    std::fs::write(&path, report::page(&results, &settings))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    ensure!(failed.is_empty(), "these experiments failed: {}", failed.join(", "));
    Ok(())
}

/// The networks are so small that kernels take longer to compile than to run: has burn fuse nothing, so that all
/// experiments share a few kernels, and take the first that is good enough.
fn prefer_few_kernels() -> anyhow::Result<()> {
    let fusion = json!({ "fusion": { "beam_search": { "max_explorations": 0 } } });
    let burn = BurnConfig::try_set(serde_json::from_value(fusion).context("burn has other settings now")?);
    let mut tuning = CubeClRuntimeConfig::default();
    tuning.autotune.level = AutotuneLevel::Minimal;
    let tuned = CubeClRuntimeConfig::try_set(tuning);
    ensure!(
        burn && tuned,
        "burn has been set up before the lab, expected by it: kernels would be fused and tuned"
    );
    Ok(())
}

/// What the networks run on.
fn device_name(device: &burn::tensor::Device) -> String {
    device.identity().map_or_else(|| format!("{device:?}"), |identity| identity.name)
}

/// On a terminal only.
fn bar(experiment: &Experiment) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {elapsed} {wide_msg}");
    // indicatif's own style says as much.
    let bar = if let Ok(style) = style { bar.with_style(style) } else { bar };
    bar.set_prefix(format!("{:2} {}", experiment.number, experiment.title));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
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
    fn experiments_are_numbered_and_named_once() {
        for (number, experiment) in (1..).zip(&experiments::ALL) {
            assert_eq!(experiment.number, number);
            let named = experiments::ALL.iter().filter(|other| other.slug == experiment.slug).count();
            assert_eq!(named, 1, "{}", experiment.slug);
        }
    }
}
