//! Installing and fetching packages on Debian and Ubuntu.

use anyhow::{Context as _, bail};
use cargo_metadata::camino::Utf8Path;
use std::borrow::Cow;
use std::process::{Command, Stdio};

/// A download that fails is tried again.
const RETRIES: &str = "-oAcquire::Retries=3";
const UPDATE: &[&str] = &["update"];
const INSTALL: &[&str] = &["install", "-y", "--no-install-recommends"];

/// What is installed together.
#[derive(Debug)]
pub(crate) struct Packages {
    what: &'static str,
    names: Cow<'static, [&'static str]>,
}

pub(crate) const ADAPTER: Packages = Packages {
    what: "Mesa's software adapter",
    names: Cow::Borrowed(&["mesa-vulkan-drivers", "libvulkan1"]),
};
/// A browser, what drives it, and what runs the tests of the page.
pub(crate) const BROWSER: Packages = Packages {
    what: "a browser and Node.js",
    names: Cow::Borrowed(&["chromium", "chromium-driver", "nodejs", "npm"]),
};
/// clang reads the header of MPI for its bindings.
pub(crate) const MPI: Packages =
    Packages { what: "Open MPI", names: Cow::Borrowed(&["openmpi-bin", "libopenmpi-dev", "clang"]) };

impl Packages {
    /// Those of them with these names: a package that is there from another source may refuse its neighbours.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        let names = self.names.iter().copied().filter(|name| names.contains(name)).collect();
        Self { what: self.what, names }
    }

    /// The words after apt-get that install them.
    fn install(&self) -> Vec<&'static str> {
        [INSTALL, &self.names].concat()
    }
}

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

    /// The words of a command line that has apt-get do this, or nothing if we may not.
    fn command_line(self, arguments: &[&'static str]) -> Option<Vec<&'static str>> {
        // sudo drops the environment, so that the command sets it.
        let prefix: &[_] = match self {
            Self::Root => &["env", "DEBIAN_FRONTEND=noninteractive"],
            Self::Sudo => &["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"],
            Self::None => return None,
        };
        Some([prefix, &["apt-get", RETRIES], arguments].concat())
    }
}

/// Installs packages, or fails saying which command to run.
pub(crate) fn install(packages: &Packages) -> anyhow::Result<()> {
    let rights = Rights::current();
    let Packages { what, names } = packages;
    let install = packages.install();
    let (Some(update), Some(install)) = (rights.command_line(UPDATE), rights.command_line(&install)) else {
        bail!("installing {what} takes root. {}", by_hand(packages));
    };
    eprintln!("Installing {what}, packages {}:", names.join(", "));
    // Of several package sources one may be broken without being needed.
    if let Err(error) = run(&update) {
        eprintln!("{error:#}; going on with the package lists that are there");
    }
    run(&install).with_context(|| by_hand(packages))
}

/// Fetches a package and unpacks it into `folder`, without installing it. Takes no rights.
pub(crate) fn unpack(package: &str, folder: &Utf8Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
    let by_hand = || format!("fetching {package} takes Debian's apt-get and dpkg-deb, and package lists");
    run_in(folder, &["apt-get", RETRIES, "download", package]).with_context(by_hand)?;
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
    // apt's output is not that of the command which needs the packages.
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot run {line}"))?;
    if status.success() { Ok(()) } else { bail!("{line}: {status}") }
}

fn by_hand(packages: &Packages) -> String {
    let install = packages.install().join(" ");
    format!("Run this, then try again: sudo apt-get {} && sudo apt-get {install}", UPDATE.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_fit_the_rights() {
        let line = |rights: Rights| rights.command_line(&ADAPTER.install()).map(|words| words.join(" "));
        let install = "env DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=3 install -y --no-install-recommends \
                       mesa-vulkan-drivers libvulkan1";
        assert_eq!(line(Rights::Root).as_deref(), Some(install));
        assert_eq!(line(Rights::Sudo), Some(format!("sudo -n {install}")));
        assert_eq!(line(Rights::None), None);
    }

    #[test]
    fn who_lacks_the_rights_is_told_the_command() {
        let expected = "sudo apt-get update && sudo apt-get install -y --no-install-recommends \
                        mesa-vulkan-drivers libvulkan1";
        assert!(by_hand(&ADAPTER).ends_with(expected), "{}", by_hand(&ADAPTER));
    }
}
