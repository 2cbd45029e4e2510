//! `cargo xtask test-mpi` and `cargo xtask sync-bench`: what takes MPI, on a machine that may lack it.

use crate::system::{Remedy, System, Wanted};
use crate::{adapter, apt, cargo};
use anyhow::{Context as _, bail, ensure};
use cargo_metadata::Artifact;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};

const PACKAGE: &str = "wgpu-batchnorm-mpi";
/// What the crate and its tests run: to find MPI, to make its bindings, and to start ranks.
const TOOLS: [&str; 3] = [COMPILER, "clang", "mpirun"];
const COMPILER: &str = "mpicc";
/// Debian has it in another package than the tools.
const HEADER: &str = "mpi.h";

/// Run the tests of synchronization through MPI, with up to 4 ranks and more, faults included; train the example, and
/// try the benchmark.
///
/// Open MPI and clang are installed where they are missing, on Debian and Ubuntu.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask test-mpi killed")]
pub(crate) struct TestArguments {
    /// Run only the tests whose name contains this; without the example and the benchmark then.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

pub(crate) fn test(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    ensure_mpi()?;
    // The program of the tests answers, so that no other one has to be built.
    let build = ["test", "-p", PACKAGE, "--no-run"];
    let ranks = cargo::build(&build, &[], |artifact| artifact.target.name == "ranks")?;
    adapter::ensure_for(Command::new(&ranks).env("BATCH_NORM_RANK_PROGRAM", "adapter"))?;
    let mut test = cargo::command();
    test.args(["test", "-p", PACKAGE]).args(&arguments.filter).env("BATCH_NORM_REQUIRE_ADAPTER", "1");
    let status = adapter::with_runtime_folder(&mut test).status().context("cannot run cargo test")?;
    if !status.success() || arguments.filter.is_some() {
        return Ok(cargo::exit_code(status));
    }
    let example = cargo::build(&build, &[], |artifact| artifact.target.name == "digits")?;
    let pictures = example.parent().context("the example has no folder")?.join("digits-pictures");
    let status =
        mpirun(4, &[], &example).args(["--out", pictures.as_str()]).status().context("cannot run mpirun")?;
    if !status.success() {
        return Ok(cargo::exit_code(status));
    }
    // As the tests are built, so that wgpu is not compiled once more: times say nothing, but all of it runs.
    let bench = cargo::build(&["build", "-p", PACKAGE, "--bench", "sync"], &[], is_bench)?;
    let page = bench.with_file_name("sync-quick.html");
    let json = bench.with_file_name("sync-quick.json");
    let outputs = ["--html", page.as_str(), "--json", json.as_str()];
    measure_and_report(&bench, &["--quick"], &outputs)
}

fn is_bench(artifact: &Artifact) -> bool {
    artifact.target.name == "sync"
}

/// Measure what synchronization takes on this machine for 2, 4 and 8 ranks, and predict it for up to 16,384.
///
/// Ranks are measured in shared memory, and, as a network to predict with, through TCP on this machine; the
/// prediction can be made for another network with --network-of. It fails if an exchange takes more CPU time than is
/// promised.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask sync-bench --html sync.html --network-of 1.5,12.5")]
pub(crate) struct BenchArguments {
    /// Passed on to the program, see its --help.
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) passed_on: Vec<OsString>,
}

pub(crate) fn bench(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    ensure_mpi()?;
    let build = ["bench", "-p", PACKAGE, "--bench", "sync", "--no-run"];
    let program = cargo::build(&build, &[], is_bench)?;
    adapter::ensure_for(Command::new(&program).arg("adapter"))?;
    measure_and_report(&program, &[], &arguments.passed_on)
}

/// Measures, with these arguments, in shared memory and through TCP, and reports, with those.
fn measure_and_report(
    program: &Utf8Path,
    how: &[&str],
    for_report: &[impl AsRef<OsStr>],
) -> anyhow::Result<ExitCode> {
    let folder = program.parent().context("the program has no folder")?;
    let [memory, network] = ["memory", "network"].map(|link| folder.join(format!("sync-{link}.json")));
    let mut runs = [
        (
            mpirun(if how.is_empty() { 8 } else { 4 }, &[], program),
            vec!["measure", "--json", memory.as_str()],
        ),
        (
            mpirun(2, &["--mca", "pml", "ob1", "--mca", "btl", "tcp,self"], program),
            vec!["link", "--json", network.as_str()],
        ),
    ];
    for (run, words) in &mut runs {
        let status =
            adapter::with_runtime_folder(run.args(words).args(how)).status().context("cannot run mpirun")?;
        ensure!(status.success(), "the measurement has failed: {status}");
    }
    let mut report = Command::new(program);
    report.args(["report", memory.as_str(), network.as_str()]).args(for_report);
    Ok(cargo::exit_code(report.status().with_context(|| format!("cannot run {program}"))?))
}

/// So many ranks of a program, more than there are cores if need be; as root too, which Open MPI wants to be told twice.
fn mpirun(ranks: usize, options: &[&str], program: &Utf8Path) -> Command {
    let mut mpirun = Command::new("mpirun");
    mpirun
        .args(["-n", &ranks.to_string(), "--oversubscribe", "--bind-to", "none"])
        .args(options)
        .arg(program);
    mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    mpirun.current_dir(Utf8PathBuf::from(cargo::ROOT));
    adapter::with_runtime_folder(&mut mpirun);
    mpirun
}

/// Installs what is missing of MPI. It fails, saying what to do, where that cannot be done.
fn ensure_mpi() -> anyhow::Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("There is no {} yet.", missing.join(", no "));
    match System::current().remedy(Wanted::Mpi) {
        Remedy::Apt => apt::install(&apt::MPI)?,
        Remedy::ByHand(advice) => {
            bail!("there is no {}. {advice}, and run this again.", missing.join(", no "))
        }
    }
    let missing = self::missing();
    ensure!(missing.is_empty(), "there is still no {} after the installation", missing.join(", no "));
    Ok(())
}

fn missing() -> Vec<&'static str> {
    let runs = |tool: &&str| {
        let version =
            Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let mut missing: Vec<_> = TOOLS.into_iter().filter(|tool| !runs(tool)).collect();
    if !missing.contains(&COMPILER) && !finds_header(COMPILER, HEADER) {
        missing.push(HEADER);
    }
    missing
}

/// Whether a compiler of C finds a header.
fn finds_header(compiler: &str, header: &str) -> bool {
    let mut compile = Command::new(compiler);
    compile.args(["-x", "c", "-fsyntax-only", "-"]).stdin(Stdio::piped());
    let Ok(mut compile) = compile.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else { return false };
    // Closed at the end of the statement; a compiler that does not read it fails by its status.
    let _ = compile.stdin.take().map(|mut source| writeln!(source, "#include <{header}>"));
    compile.wait().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::finds_header;

    #[cfg(unix)]
    #[test]
    fn a_compiler_alone_is_not_enough() {
        assert!(finds_header("cc", "stdio.h"));
        assert!(!finds_header("cc", "no_such_header_of_mpi.h"));
        assert!(!finds_header("no-such-compiler", "stdio.h"));
    }
}
