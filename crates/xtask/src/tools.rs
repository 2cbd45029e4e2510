//! Tools that the page takes: the target of browsers, and wasm-bindgen.

use crate::cargo;
use anyhow::{Context as _, ensure};
use cargo_metadata::MetadataCommand;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use std::process::Command;

/// The target of browsers.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// What is known of the workspace.
pub(crate) struct Workspace {
    /// Its target folder.
    pub(crate) target: Utf8PathBuf,
    /// The version of wasm-bindgen that its lock file has.
    wasm_bindgen: String,
}

impl Workspace {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let mut command = MetadataCommand::new();
        command.current_dir(cargo::ROOT).other_options(["--locked".to_owned()]);
        let metadata = command.exec().context("cannot run cargo metadata")?;
        let package = metadata.packages.iter().find(|package| package.name.as_str() == "wasm-bindgen");
        let package = package.context("the lock file has no wasm-bindgen")?;
        Ok(Self { target: metadata.target_directory.clone(), wasm_bindgen: package.version.to_string() })
    }

    /// The folder with the programs of wasm-bindgen. Their version must be that of the library: they are built where
    /// they are not there yet, which takes some minutes, and kept in the target folder.
    pub(crate) fn wasm_bindgen(&self) -> anyhow::Result<Utf8PathBuf> {
        let version = &self.wasm_bindgen;
        let root = self.target.join("tools").join(format!("wasm-bindgen-{version}"));
        let programs = root.join("bin");
        if !programs.join(program("wasm-bindgen-test-runner")).exists() {
            eprintln!("Building wasm-bindgen {version}, once; it takes some minutes:");
            let mut install = cargo::command();
            install.args(["install", "wasm-bindgen-cli", "--version", &format!("={version}"), "--root"]);
            // It has little to do: fast to build matters more than fast to run.
            install.arg(&root).args(["--config", "profile.release.opt-level=1"]);
            run(&mut install)?;
        }
        Ok(programs)
    }
}

/// Installs the target of browsers, where rustup is and it is not there yet.
pub(crate) fn ensure_target() -> anyhow::Result<()> {
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let Ok(listed) = listed else {
        // Without rustup the build itself says what is missing.
        return Ok(());
    };
    if String::from_utf8_lossy(&listed.stdout).lines().any(|target| target == WASM) {
        return Ok(());
    }
    run(Command::new("rustup").args(["target", "add", WASM]))
}

/// The name of a program's file.
pub(crate) fn program(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

/// Whether a program is among the places where programs are.
pub(crate) fn found(name: &str) -> Option<Utf8PathBuf> {
    let places = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&places).filter_map(|place| Utf8PathBuf::from_path_buf(place).ok());
    places.map(|place| place.join(program(name))).find(|path| Utf8Path::is_file(path))
}

/// Runs a command, and fails if it does.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status =
        command.status().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(status.success(), "{}: {status}", command.get_program().display());
    Ok(())
}
