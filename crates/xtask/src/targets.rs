//! `cargo xtask targets`: what the project promises of its speed, measured on this machine.

mod verdict;

use crate::{adapter, cargo};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use verdict::{Bound, Verdict, noisy_rows, number, of_burn, of_copies, of_the_baseline, of_tune};

/// Measure what the project promises of its speed, and say which promises hold on this machine.
///
/// Ours, PyTorch, burn, ours again, our plans beside others, and what recording costs the host; the files are left in a
/// folder. On a graphics processor, cargo xtask bundle measures more. Run it where nothing else runs.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask targets --python torch/bin/python")]
pub(crate) struct Arguments {
    /// A Python that has PyTorch, the opponent of the CPU baseline.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Leave out PyTorch: nothing is said of the CPU baseline then.
    #[arg(long)]
    without_pytorch: bool,
    /// Leave out burn, which takes 20 minutes or more to compile.
    #[arg(long)]
    without_burn: bool,
    /// The folder for what is measured; the default is `targets` in the target folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // By its name alone it is looked for on the path; else it is the same wherever it is run.
    let is_name = arguments.python.components().count() == 1;
    let python = if is_name { arguments.python.clone() } else { std::path::absolute(&arguments.python)? };
    let python = (!arguments.without_pytorch).then_some(&python);
    // Before anything takes long.
    if let Some(python) = python {
        let found = Command::new(python).args(["-c", "import torch"]).stderr(Stdio::null()).status();
        ensure!(
            found.is_ok_and(|status| status.success()),
            "{} has no PyTorch: name a Python that has one with --python (benches/peers/README.md says how to make \
             one), or leave it out with --without-pytorch",
            python.display()
        );
    }
    let program = cargo::build_program(&["build", "--release", "-p", "wgpu-batchnorm-cli"])?;
    adapter::ensure(&program)?;
    let is_burn = |artifact: &cargo_metadata::Artifact| artifact.target.name == "peer-burn";
    let burn = (!arguments.without_burn)
        .then(|| cargo::build(&["build", "--release", "-p", "peer-burn"], &[], is_burn))
        .transpose()?;
    let target =
        program.parent().and_then(|release| release.parent()).context("the program has no folder")?;
    let folder = arguments.out.clone().unwrap_or_else(|| target.join("targets").into_std_path_buf());
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let json_of = |command: &mut Command, name: &str| {
        let (json, status) = written(command, &folder.join(name))?;
        // The benchmark fails if its results are wrong: its times mean nothing then.
        ensure!(status.success(), "{} ended with {status}", command.get_program().display());
        Ok(json)
    };

    let bench = || {
        let mut bench = Command::new(&program);
        bench.args(["bench", "--shapes", "quick", "--layout", "both"]);
        bench
    };
    let first = json_of(&mut bench(), "batchnorm-1.json")?;
    let mut pytorch = Vec::new();
    for memory in Memory::ALL {
        let Some(python) = python else { break };
        let mut script = Command::new(python);
        script.current_dir(cargo::ROOT).args(["benches/peers/pytorch.py", "--device", "cpu"]);
        script.envs(memory.environment().iter().copied()).args(["--threads", &cpu_threads(&first)?]);
        pytorch.push((memory, json_of(&mut script, memory.file())?));
    }
    // More repetitions take it ten minutes and more on a software adapter.
    let burn = burn.map(|burn| {
        json_of(Command::new(burn).args(["--shapes", "quick", "--repetitions", "5"]), "burn.json")
    });
    let burn = burn.transpose()?;
    let ours = [first, json_of(&mut bench(), "batchnorm-2.json")?];
    let mut tune = Command::new(&program);
    tune.args(["tune", "--shapes", "quick", "--layout", "both"]);
    // It fails if a choice is too slow, which is judged here.
    let (tuned, _) = written(&mut tune, &folder.join("tune.json"))?;
    let status =
        adapter::with_runtime_folder(cargo::command().args(["bench", "--bench", "recording"])).status();
    ensure!(status.context("cannot run cargo bench")?.success(), "cargo bench --bench recording failed");

    let mut verdicts = of_copies(&ours)?;
    let noisy = noisy_rows(&ours)?;
    if let Some(burn) = &burn {
        verdicts.extend(of_burn(&ours, burn)?);
    }
    for (memory, pytorch) in &pytorch {
        verdicts.extend(of_the_baseline(&ours, pytorch, *memory)?);
    }
    verdicts.push(of_tune(&tuned)?);
    for (name, most) in [("one_layer", 15.0), ("one_layer_in_runs", 15.0), ("resnet50", 1000.0)] {
        for (how, said) in [("record", ""), ("look_up_and_record", ", its bindings looked up")] {
            let file = target.join("criterion").join(name).join(how).join("new/estimates.json");
            let nanoseconds = number(&read(file.as_std_path())?, "/median/point_estimate")?;
            let what = format!("recording {name}{said}, µs of the host");
            verdicts.push(Verdict { what, measured: nanoseconds / 1e3, bound: Bound::AtMost(most) });
        }
    }
    println!();
    for verdict in &verdicts {
        println!("{verdict}");
    }
    if !noisy.is_empty() {
        println!("so spread that they say little: {}", noisy.join("; "));
    }
    if burn.is_none() {
        println!("not measured: burn");
    }
    if pytorch.is_empty() {
        println!("not measured: the CPU baseline beside PyTorch");
    }
    println!("the files are in {}", folder.display());
    Ok(if verdicts.iter().all(Verdict::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where PyTorch's results lie. The baseline writes to memory that its caller keeps.
#[derive(Clone, Copy, Debug)]
enum Memory {
    /// As PyTorch comes: a large result is in memory that the system has to hand out anew.
    New,
    /// Told to keep what it has had, so that both sides only compute.
    Kept,
}

impl Memory {
    const ALL: [Self; 2] = [Self::New, Self::Kept];

    /// What tells glibc so.
    fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::New => &[],
            Self::Kept => {
                &[("MALLOC_MMAP_THRESHOLD_", "4000000000"), ("MALLOC_TRIM_THRESHOLD_", "8000000000")]
            }
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::New => "pytorch.json",
            Self::Kept => "pytorch-kept.json",
        }
    }

    fn said(self) -> &'static str {
        match self {
            Self::New => "as it comes",
            Self::Kept => "in memory it keeps",
        }
    }
}

/// The threads of the CPU baseline, which its opponent is to have too.
fn cpu_threads(record: &Value) -> anyhow::Result<String> {
    number(record, "/cpu_threads").map(|threads| threads.to_string())
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))
}

/// What a command with `--json` leaves in `file`, and how it ended: it may fail for what it has measured, but not before it
/// has written.
fn written(command: &mut Command, file: &Path) -> anyhow::Result<(Value, ExitStatus)> {
    if file.exists() {
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    command.arg("--json").arg(file);
    let program = command.get_program().to_owned();
    let status = adapter::with_runtime_folder(command).status();
    let status = status.with_context(|| format!("cannot run {}", program.display()))?;
    let json = read(file).with_context(|| format!("{} ended with {status}", program.display()))?;
    Ok((json, status))
}
