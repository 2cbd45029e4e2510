//! `cargo xtask swiftshader`: the oracle cases and the tests on a second, independent software adapter.

use crate::{adapter, apt, cargo};
use anyhow::{Context as _, bail};
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use std::process::{Command, ExitCode};

/// Debian's package that brings SwiftShader along.
const PACKAGE: &str = "chromium-common";
const DRIVER: &str = "usr/lib/chromium/vk_swiftshader_icd.json";

/// Run the oracle cases and the tests that need an adapter on SwiftShader.
///
/// SwiftShader is a second Vulkan adapter in software, written independently of Mesa's. Where Debian's chromium
/// is not installed, its package is fetched and unpacked below the target folder; nothing is installed.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask swiftshader")]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> anyhow::Result<ExitCode> {
    let program = cargo::build_program(&["test", "--no-run"])?;
    // Beside the folder of the profile, which the program is in.
    let target =
        program.parent().and_then(|profile| profile.parent()).context("the program has no folder")?;
    let driver = driver(&target.join("swiftshader"))?;
    let mut verify = Command::new(&program);
    verify.args(["verify", "tests/cases"]).current_dir(cargo::ROOT);
    let mut test = cargo::command();
    // Of all default members, as `cargo test` builds it: another selection would compile wgpu once more.
    test.args(["test", "--test", "gpu"]).env("BATCH_NORM_REQUIRE_ADAPTER", "1");
    for command in [&mut verify, &mut test] {
        command.env("VK_DRIVER_FILES", &driver);
        let status = adapter::with_runtime_folder(command).status().context("cannot run it")?;
        if !status.success() {
            return Ok(cargo::exit_code(status));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The file that tells the Vulkan loader of SwiftShader.
fn driver(folder: &Utf8Path) -> anyhow::Result<Utf8PathBuf> {
    let installed = Utf8Path::new("/").join(DRIVER);
    if installed.exists() {
        return Ok(installed);
    }
    let unpacked = folder.join(DRIVER);
    if !unpacked.exists() {
        apt::unpack(PACKAGE, folder)?;
    }
    if unpacked.exists() {
        return Ok(unpacked);
    }
    bail!(
        "{PACKAGE} has no {DRIVER}, expected SwiftShader's driver there: set VK_DRIVER_FILES to one by hand"
    )
}
