//! Running cargo in the workspace.

use anyhow::{Context as _, ensure};
use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{Artifact, Message, TargetKind};
use std::ffi::OsStr;
use std::io::BufReader;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// The name of the program that `crates/cli` builds.
const PROGRAM: &str = "batchnorm";

/// The root of the workspace.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The cargo that runs us, in the root of the workspace, so that it works on the default members.
pub(crate) fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(ROOT);
    command
}

/// Runs a cargo command that builds the `batchnorm` program, and says where it put it.
pub(crate) fn build_program(arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<Utf8PathBuf> {
    build(arguments, &[], is_program).with_context(|| format!("no program {PROGRAM}"))
}

/// Runs a cargo command that builds, with these arguments for the compiler of the last program, and says where
/// it put the program that is `wanted`.
pub(crate) fn build(
    arguments: &[impl AsRef<OsStr>],
    for_compiler: &[&str],
    wanted: impl Fn(&Artifact) -> bool,
) -> anyhow::Result<Utf8PathBuf> {
    let mut build = command();
    build.args(arguments).arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    if !for_compiler.is_empty() {
        build.arg("--").args(for_compiler);
    }
    let mut build = build.spawn().context("cannot run cargo")?;
    let output = build.stdout.take().context("cargo has no output")?;
    let mut program = None;
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Message::CompilerArtifact(artifact) = message.context("cannot read cargo's output")?
            && wanted(&artifact)
        {
            program = artifact.executable.or(program);
        }
    }
    let status = build.wait().context("cannot wait for cargo")?;
    ensure!(status.success(), "the build failed");
    program.context("cargo built nothing that can be run")
}

/// Whether this is the program, not its unit tests.
fn is_program(artifact: &Artifact) -> bool {
    artifact.target.name == PROGRAM
        && artifact.target.kind.contains(&TargetKind::Bin)
        && !artifact.profile.test
}

/// The exit code of a program as our own; failure if it was ended by a signal.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(name: &str, is_test: bool) -> Option<Artifact> {
        let line = format!(
            r#"{{"reason":"compiler-artifact","package_id":"path+file:///cli#0.1.0","manifest_path":"/cli/Cargo.toml",
            "target":{{"kind":["bin"],"crate_types":["bin"],"name":"{name}","src_path":"/cli/src/main.rs",
            "edition":"2024","doctest":false,"test":true}},"profile":{{"opt_level":"1","debuginfo":1,
            "debug_assertions":true,"overflow_checks":true,"test":{is_test}}},"features":[],
            "filenames":["/target/{name}"],"executable":"/target/{name}","fresh":true}}"#
        );
        let message = Message::parse_stream(line.replace('\n', " ").as_bytes()).next();
        match message {
            Some(Ok(Message::CompilerArtifact(artifact))) => Some(artifact),
            _ => None,
        }
    }

    #[test]
    fn the_program_is_found() {
        let executables = [("batchnorm", false), ("batchnorm", true), ("xtask", false)]
            .map(|(name, is_test)| artifact(name, is_test).map(|artifact| is_program(&artifact)));
        assert_eq!(executables, [Some(true), Some(false), Some(false)]);
    }

    #[cfg(unix)]
    #[test]
    fn exit_codes_are_passed_on() {
        use std::os::unix::process::ExitStatusExt as _;
        let of = |raw| format!("{:?}", exit_code(ExitStatus::from_raw(raw)));
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(of(0), expected(0));
        assert_eq!(of(101 << 8), expected(101));
        let killed = 9;
        assert_eq!(of(killed), expected(1));
    }
}
