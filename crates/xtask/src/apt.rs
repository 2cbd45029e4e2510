//! Installing what Debian and Ubuntu have as packages, and fetching packages.

use anyhow::{Context as _, bail};
use cargo_metadata::camino::Utf8Path;
use std::process::{Command, Stdio};

const UPDATE: &[&str] = &["apt-get", "update"];
const INSTALL: &[&str] = &["apt-get", "install", "-y", "--no-install-recommends"];

/// What can be installed: what it is, and Debian's packages that bring it.
pub(crate) struct Software {
    pub(crate) what: &'static str,
    pub(crate) packages: &'static [&'static str],
}

/// An adapter for machines without a GPU.
pub(crate) const ADAPTER: Software =
    Software { what: "Mesa's software adapter", packages: &["mesa-vulkan-drivers", "libvulkan1"] };
/// A browser, what drives it, and what runs the tests of the page.
pub(crate) const BROWSER: Software =
    Software { what: "a browser and Node.js", packages: &["chromium", "chromium-driver", "nodejs", "npm"] };

/// Who runs apt.
#[derive(Clone, Copy, Debug)]
enum Rights {
    Root,
    /// sudo, which asks for no password.
    Sudo,
    None,
}

impl Rights {
    /// Ours.
    fn current() -> Self {
        let id = Command::new("id").arg("-u").output();
        if id.is_ok_and(|id| id.stdout.trim_ascii() == b"0") {
            return Self::Root;
        }
        let sudo = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
        if sudo.is_ok_and(|status| status.success()) { Self::Sudo } else { Self::None }
    }

    /// The words of a command line that runs `command`, or nothing if we may not.
    fn command_line(self, command: &[&'static str]) -> Option<Vec<&'static str>> {
        // sudo drops the environment, so that the command sets it.
        let prefix: &[_] = match self {
            Self::Root => &["env", "DEBIAN_FRONTEND=noninteractive"],
            Self::Sudo => &["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"],
            Self::None => return None,
        };
        Some([prefix, command].concat())
    }
}

/// Installs it, or fails saying which command to run.
pub(crate) fn install(software: &Software) -> anyhow::Result<()> {
    let rights = Rights::current();
    let (Some(update), Some(install)) =
        (rights.command_line(UPDATE), rights.command_line(&software.command()))
    else {
        bail!("installing {} takes root. {}", software.what, software.by_hand());
    };
    eprintln!("Installing {}:", software.what);
    // Of several package sources one may be broken without being needed.
    if let Err(error) = run(&update) {
        eprintln!("{error:#}; going on with the package lists that are there");
    }
    run(&install).with_context(|| software.by_hand())
}

/// Fetches a package and unpacks it into `folder`, without installing it. Takes no rights.
pub(crate) fn unpack(package: &str, folder: &Utf8Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
    let by_hand = || format!("fetching {package} takes Debian's apt-get and dpkg-deb, and package lists");
    run_in(folder, &["apt-get", "download", package]).with_context(by_hand)?;
    let entries = folder.read_dir_utf8().with_context(|| format!("cannot read {folder}"))?;
    let archive =
        entries.flatten().map(|entry| entry.into_path()).find(|path| path.extension() == Some("deb"));
    let archive = archive.with_context(|| format!("apt-get has left no package in {folder}"))?;
    run(&["dpkg-deb", "--extract", archive.as_str(), folder.as_str()]).with_context(by_hand)
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    run_in(".".into(), words)
}

fn run_in(folder: &Utf8Path, words: &[&str]) -> anyhow::Result<()> {
    let line = words.join(" ");
    eprintln!("+ {line}");
    let [program, arguments @ ..] = words else { bail!("an empty command line") };
    let mut command = Command::new(program);
    // apt's output is not that of the command which needs the adapter.
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot run {line}"))?;
    if status.success() { Ok(()) } else { bail!("{line}: {status}") }
}

impl Software {
    fn command(&self) -> Vec<&'static str> {
        [INSTALL, self.packages].concat()
    }

    fn by_hand(&self) -> String {
        format!("Run this, then try again: sudo {} && sudo {}", UPDATE.join(" "), self.command().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_fit_the_rights() {
        let line = |rights: Rights| rights.command_line(&ADAPTER.command()).map(|words| words.join(" "));
        let install = "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
                       mesa-vulkan-drivers libvulkan1";
        assert_eq!(line(Rights::Root).as_deref(), Some(install));
        assert_eq!(line(Rights::Sudo), Some(format!("sudo -n {install}")));
        assert_eq!(line(Rights::None), None);
    }

    #[test]
    fn who_lacks_the_rights_is_told_the_command() {
        let expected = "sudo apt-get update && sudo apt-get install -y --no-install-recommends \
                        mesa-vulkan-drivers libvulkan1";
        let by_hand = ADAPTER.by_hand();
        assert!(by_hand.ends_with(expected), "{by_hand}");
    }
}
