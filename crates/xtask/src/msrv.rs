//! `cargo xtask msrv`: whether the dependencies build with the Rust version that we state.

use crate::cargo;
use anyhow::{Context as _, ensure};
use cargo_metadata::semver::Version;
use cargo_metadata::{Metadata, MetadataCommand};
use std::collections::BTreeSet;
use std::process::{ExitCode, Stdio};

/// Check that no dependency of the default members, or of what needs MPI, states a newer Rust version than they do.
///
/// Clippy checks our own code, by its lint incompatible_msrv.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask msrv")]
pub(crate) struct Arguments {}

/// A package by name and version.
type Package = (String, Version);

pub(crate) fn run(_: &Arguments) -> anyhow::Result<ExitCode> {
    let metadata = metadata()?;
    let ours = ours(&metadata)?;
    let used = used()?;
    let stated: Vec<_> = metadata
        .packages
        .into_iter()
        .map(|package| ((package.name.to_string(), package.version), package.rust_version))
        .filter(|(package, _)| used.contains(package))
        .collect();
    // Else the two commands disagree about a name, and the check would miss a package.
    ensure!(stated.len() == used.len(), "cargo tree and cargo metadata list different packages");
    let silent = stated.iter().filter(|(_, theirs)| theirs.is_none()).count();
    println!("{} packages checked against Rust {ours}; {silent} of them state no version", stated.len());
    let too_new: Vec<_> =
        stated.iter().filter_map(|(package, theirs)| too_new(package, theirs.as_ref(), &ours)).collect();
    for line in &too_new {
        println!("{line}");
    }
    ensure!(too_new.is_empty(), "the stated Rust version {ours} is too low for {} packages", too_new.len());
    Ok(ExitCode::SUCCESS)
}

/// All packages of the lock file.
fn metadata() -> anyhow::Result<Metadata> {
    let command = cargo::command();
    let mut metadata = MetadataCommand::new();
    metadata.cargo_path(command.get_program()).other_options(["--locked".to_owned()]);
    if let Some(root) = command.get_current_dir() {
        metadata.current_dir(root);
    }
    metadata.exec().context("cannot read the workspace")
}

/// Checked besides the default members; its tree is read without MPI.
const WITH_MPI: &str = "wgpu-batchnorm-mpi";

/// The lowest Rust version that one of ours states; each has to state one.
fn ours(metadata: &Metadata) -> anyhow::Result<Version> {
    let mut lowest: Option<&Version> = None;
    let with_mpi = metadata.workspace_packages().into_iter().find(|member| member.name.as_str() == WITH_MPI);
    let with_mpi = with_mpi.with_context(|| format!("the workspace has no {WITH_MPI}"))?;
    for member in metadata.workspace_default_packages().into_iter().chain([with_mpi]) {
        let stated = member.rust_version.as_ref();
        let stated = stated.with_context(|| format!("{} states no rust-version", member.name))?;
        lowest = Some(lowest.map_or(stated, |lowest| lowest.min(stated)));
    }
    lowest.cloned().context("the workspace has no default members")
}

/// The packages that these need on any platform, to build or to test.
///
/// The graph of `cargo metadata` is that of all members together, in which one member turns on optional
/// dependencies for the others.
fn used() -> anyhow::Result<BTreeSet<Package>> {
    let mut used = BTreeSet::new();
    for of in [&[][..], &["-p", WITH_MPI]] {
        let mut tree = cargo::command();
        tree.args(["tree", "--locked", "--target", "all", "--prefix", "none", "--format", "{p}"]).args(of);
        let tree = tree.stderr(Stdio::inherit()).output().context("cannot run cargo tree")?;
        ensure!(tree.status.success(), "cargo tree: {}", tree.status);
        let lines = String::from_utf8_lossy(&tree.stdout);
        for line in lines.lines().filter(|line| !line.is_empty()) {
            used.insert(package(line)?);
        }
    }
    Ok(used)
}

/// The package of a line of `cargo tree`.
fn package(line: &str) -> anyhow::Result<Package> {
    let mut words = line.split_whitespace();
    let name = words.next();
    let version = words.next().and_then(|word| word.strip_prefix('v')).map(Version::parse);
    match (name, version) {
        (Some(name), Some(Ok(version))) => Ok((name.to_owned(), version)),
        _ => anyhow::bail!("cannot read this line of cargo tree: {line}"),
    }
}

/// A line about a package that needs a newer Rust version than ours.
fn too_new((name, version): &Package, theirs: Option<&Version>, ours: &Version) -> Option<String> {
    let theirs = theirs.filter(|theirs| *theirs > ours)?;
    Some(format!("{name} {version} needs Rust {theirs}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_tree_are_read() {
        let expected = Some(("wgpu".to_owned(), Version::new(30, 0, 1)));
        for line in [
            "wgpu v30.0.1",
            "wgpu v30.0.1 (*)",
            "wgpu v30.0.1 (/path/with space)",
            "wgpu v30.0.1 (proc-macro)",
        ] {
            assert_eq!(package(line).ok(), expected, "{line}");
        }
        assert!(package("[build-dependencies]").is_err());
    }

    #[test]
    fn only_newer_versions_are_too_new() {
        let package = ("sysinfo".to_owned(), Version::new(0, 39, 6));
        let too_new = |theirs: Option<Version>| too_new(&package, theirs.as_ref(), &Version::new(1, 92, 0));
        assert_eq!(too_new(None), None);
        assert_eq!(too_new(Some(Version::new(1, 92, 0))), None);
        let line = "sysinfo 0.39.6 needs Rust 1.95.0";
        assert_eq!(too_new(Some(Version::new(1, 95, 0))).as_deref(), Some(line));
    }
}
