//! Arguments that go to another program as they are.

use std::ffi::OsString;

/// The commands that pass their arguments on.
const COMMANDS: [&str; 4] = ["bench", "test", "sync-bench", "lab"];

/// Marks what follows `bench`, `test`, `sync-bench` or `lab` as values, with a `--` of our own. Without it, clap would
/// swallow the caller's first `--`, as in `cargo xtask test -- --nocapture`. A call for help is ours.
pub(crate) fn mark(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    let passes_on = arguments.get(1).is_some_and(|command| COMMANDS.iter().any(|known| command == known));
    let asks_for_help = arguments.get(2).is_some_and(|first| first == "--help" || first == "-h");
    if passes_on && !asks_for_help {
        arguments.insert(2, "--".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, mark};
    use crate::{Arguments, Command};
    use clap::Parser as _;
    use std::ffi::OsString;

    fn parse(line: &str) -> Result<Vec<OsString>, clap::Error> {
        let line = line.split(' ').map(OsString::from);
        Ok(match Arguments::try_parse_from(mark(line))?.command {
            Command::Bench(arguments) => arguments.passed_on,
            Command::Test(arguments) => arguments.passed_on,
            Command::SyncBench(arguments) => arguments.passed_on,
            Command::Lab(arguments) => arguments.passed_on,
            _ => Vec::new(),
        })
    }

    #[test]
    fn arguments_are_passed_on_as_they_are() {
        for passed_on in ["--shapes quick", "-- --nocapture", "name -- --exact", "--nocapture --help"] {
            for command in COMMANDS {
                let parsed = parse(&format!("xtask {command} {passed_on}")).unwrap_or_default();
                assert_eq!(parsed.join(" ".as_ref()), passed_on, "{command}");
            }
        }
    }

    #[test]
    fn a_call_for_help_is_ours() {
        for line in ["xtask bench --help", "xtask test -h", "xtask --help", "xtask msrv --help"] {
            let kind = parse(line).map_err(|error| error.kind());
            assert_eq!(kind, Err(clap::error::ErrorKind::DisplayHelp), "{line}");
        }
    }

    #[test]
    fn no_arguments_are_fine() {
        assert_eq!(parse("xtask bench").ok(), Some(Vec::new()));
    }
}
