//! Tells the program which commit and which wgpu it was built from, for the records it writes.

use std::path::Path;
use std::process::Command;

fn main() {
    let root = Path::new("../..");
    // A path that is not there would make every build run this again.
    for watched in [".git/logs/HEAD", "Cargo.lock"].map(|path| root.join(path)) {
        if watched.exists() {
            println!("cargo::rerun-if-changed={}", watched.display());
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    let git = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).current_dir(root).output();
    if let Some(commit) = git.ok().filter(|output| output.status.success())
        && let Ok(commit) = String::from_utf8(commit.stdout)
    {
        println!("cargo::rustc-env=BATCHNORM_COMMIT={}", commit.trim());
    }
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    if let Some(version) = version_of("wgpu", &lock) {
        println!("cargo::rustc-env=BATCHNORM_WGPU_VERSION={version}");
    }
}

/// The version of `package` in a lock file.
fn version_of<'a>(package: &str, lock: &'a str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}
