//! Running the program, and what it said.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a run of the program left.
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_batchnorm"))
}

/// Runs the program with these arguments, separated by spaces.
pub(crate) fn batchnorm(arguments: &str) -> Run {
    run(program().args(arguments.split_whitespace()))
}

pub(crate) fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the output is text");
    Run { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// The folder of the oracle cases.
pub(crate) fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases")
}

impl Run {
    /// Fails unless the program ended with `status` and stdout contains every one of `parts`.
    pub(crate) fn expect(&self, status: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stdout.contains(part), "no {part:?} in stdout:\n{}", self.stdout);
        }
        self
    }

    /// Fails unless the program ended with `status` and stderr contains every one of `parts`.
    pub(crate) fn expect_error(&self, status: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in stderr:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}
