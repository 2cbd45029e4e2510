//! `cargo xtask bundle`: a folder that verifies, tests and measures on a machine without a Rust toolchain.

use crate::cargo;
use anyhow::{Context as _, bail, ensure};
use cargo_metadata::camino::Utf8PathBuf;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Make a folder with everything that a Linux machine with a GPU needs to verify, test and measure: no Rust
/// toolchain, no network.
///
/// It holds the batchnorm program, the programs of the tests that need an adapter and of the reference, the
/// oracle cases, the PyTorch script, and run.sh, which runs them all; run.sh --help says how. The machine needs
/// a C library no older than this one's.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask bundle --out /tmp/bundle && /tmp/bundle/run.sh verify quick")]
pub(crate) struct Arguments {
    /// The folder; the default is `bundle` in the target folder. An older bundle there is replaced.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take along the burn peer too, which takes long to compile.
    #[arg(long)]
    burn: bool,
}

/// A program of the bundle: its package, the kind and name of its target, and what the bundle calls it.
struct Program {
    package: &'static str,
    kind: &'static str,
    target: &'static str,
    name: &'static str,
}

const PROGRAMS: [Program; 3] = [
    Program { package: "wgpu-batchnorm-cli", kind: "--bin", target: "batchnorm", name: "batchnorm" },
    Program { package: "wgpu-batchnorm", kind: "--test", target: "gpu", name: "test-gpu" },
    Program { package: "wgpu-batchnorm", kind: "--test", target: "reference", name: "test-reference" },
];
const BURN: Program = Program { package: "peer-burn", kind: "--bin", target: "peer-burn", name: "peer-burn" };

/// From the workspace, to their places in the bundle: where `BATCH_NORM_ROOT` points, tests look for the same
/// paths as in the workspace.
const FILES: [(&str, &str); 7] = [
    ("benches/bundle/run.sh", "run.sh"),
    ("benches/peers/pytorch.py", "peers/pytorch.py"),
    ("benches/shapes.json", "peers/shapes.json"),
    ("tests/cases", "tests/cases"),
    ("crates/state/tests/files/pytorch.safetensors", "crates/state/tests/files/pytorch.safetensors"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
];
/// What a bundle consists of besides the results of its runs.
const PARTS: [&str; 5] = ["bin", "lib", "peers", "tests", "crates"];
/// Where distributions have the Vulkan loader. It goes along for machines that have a driver alone.
const LOADERS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/libvulkan.so.1",
    "/usr/lib/aarch64-linux-gnu/libvulkan.so.1",
    "/usr/lib64/libvulkan.so.1",
];
const MOST_BYTES: u64 = 50_000_000;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    ensure!(
        cfg!(target_os = "linux"),
        "bundles are for Linux and made on Linux, not {}",
        std::env::consts::OS
    );
    let mut programs = Vec::new();
    for program in PROGRAMS.iter().chain(arguments.burn.then_some(&BURN)) {
        programs.push((program.name, program.build()?));
    }
    let profile = programs.first().and_then(|(_, path)| path.parent()).and_then(|profile| profile.parent());
    let target = profile.context("the program has no folder")?;
    let folder = arguments.out.clone().unwrap_or_else(|| target.join("bundle").into_std_path_buf());
    clear(&folder)?;

    for (name, path) in &programs {
        copy(path.as_std_path(), &folder.join("bin").join(name))?;
    }
    if arguments.burn {
        // The largest by far, and for a part of the runs only.
        let gzip = Command::new("gzip").arg("--best").arg(folder.join("bin").join(BURN.name)).status();
        ensure!(gzip.context("cannot run gzip")?.success(), "gzip failed on {}", BURN.name);
    }
    for (from, to) in FILES {
        copy(&Path::new(cargo::ROOT).join(from), &folder.join(to))?;
    }
    if let Some(loader) = LOADERS.iter().map(Path::new).find(|loader| loader.exists()) {
        copy(loader, &folder.join("lib/libvulkan.so.1"))?;
    }
    let bytes = PARTS.iter().map(|part| size_of(&folder.join(part))).sum::<anyhow::Result<u64>>()?;
    let megabytes = bytes as f64 * 1e-6;
    ensure!(
        bytes <= MOST_BYTES,
        "the bundle has {megabytes:.1} MB, expected at most {} MB: find out what has grown, or leave out --burn",
        MOST_BYTES / 1_000_000
    );
    println!("{} ({megabytes:.1} MB): run.sh in it runs everything", folder.display());
    Ok(ExitCode::SUCCESS)
}

impl Program {
    /// Builds it for release, without symbols. Only the program itself is built anew for that: the libraries are
    /// those of any other release build.
    fn build(&self) -> anyhow::Result<Utf8PathBuf> {
        let Self { package, kind, target, .. } = self;
        let arguments = ["rustc", "--release", "-p", package, kind, target];
        cargo::build(&arguments, &["-C", "strip=symbols"], |artifact| artifact.target.name == *target)
            .with_context(|| format!("cannot build {target} of {package}"))
    }
}

/// Makes the folder, or removes the parts of an older bundle from it.
fn clear(folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {shown}"))?;
    let is_empty = fs::read_dir(folder).with_context(|| format!("cannot read {shown}"))?.next().is_none();
    if !is_empty && !folder.join("run.sh").is_file() {
        bail!("{shown} holds something else than a bundle: name a folder that is empty or not there yet");
    }
    for part in PARTS.map(|part| folder.join(part)).into_iter().filter(|part| part.exists()) {
        fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    Ok(())
}

/// Copies a file, or a folder with all that is in it, and makes the folders on the way.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot copy {} to {}", from.display(), to.display());
    if from.is_dir() {
        for entry in fs::read_dir(from).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    // Links are followed, and what may be executed stays so.
    fs::copy(from, to).with_context(failed)?;
    Ok(())
}

/// The bytes of all files in a folder; none if there is no folder.
fn size_of(folder: &Path) -> anyhow::Result<u64> {
    if !folder.exists() {
        return Ok(0);
    }
    let failed = || format!("cannot read {}", folder.display());
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        bytes += if path.is_dir() {
            size_of(&path)?
        } else {
            File::open(&path).and_then(|file| file.metadata()).with_context(failed)?.len()
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_goes_along_is_there() {
        for (from, to) in FILES {
            assert!(Path::new(cargo::ROOT).join(from).exists(), "{from}");
            assert!(Path::new(to).is_relative());
        }
    }

    #[test]
    fn folders_are_copied_counted_and_cleared() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deep"))?;
        fs::write(from.join("one"), "12345")?;
        fs::write(from.join("deep/two"), "678")?;
        copy(&from, &to.join("bin"))?;
        assert_eq!((size_of(&to)?, fs::read_to_string(to.join("bin/deep/two"))?), (8, "678".to_owned()));
        assert_eq!(size_of(&folder.path().join("none"))?, 0);

        // What may be somebody's is left alone.
        let error = clear(&to).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("something else than a bundle")));
        fs::write(to.join("run.sh"), "")?;
        fs::create_dir(to.join("results"))?;
        clear(&to)?;
        assert!(!to.join("bin").exists() && to.join("results").exists());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn the_script_lists_its_stages_and_refuses_others() -> anyhow::Result<()> {
        let script = Path::new(cargo::ROOT).join("benches/bundle/run.sh");
        let run = |arguments: &[&str]| Command::new("bash").arg(&script).args(arguments).output();
        let listed = String::from_utf8(run(&["--list"])?.stdout)?;
        let listed: Vec<_> = listed.lines().collect();
        for stage in ["verify", "test", "quick", "resnet50-bf16", "hard-f16", "features", "growth"] {
            assert!(listed.contains(&stage), "{listed:?}");
        }
        for wrong in
            [["quick-f64", "--list"], ["--limit", "0"], ["--torch", "gpu"], ["--out", ""], ["--x", ""]]
        {
            let output = run(&wrong)?;
            assert!(
                output.status.code() == Some(2),
                "{wrong:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }
}
