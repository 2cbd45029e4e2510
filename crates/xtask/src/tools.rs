//! Tools that the page takes: the target of browsers, and wasm-bindgen.

use crate::cargo;
use anyhow::{Context as _, ensure};
use cargo_metadata::MetadataCommand;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use std::collections::BTreeMap;
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
            let locked = install(version, &root, &["--locked"]);
            if let Err(error) = locked {
                eprintln!(
                    "{error:#}: trying with the newest dependencies instead of those it was published with"
                );
                install(version, &root, &[])?;
            }
        }
        Ok(programs)
    }
}

/// Builds the programs of wasm-bindgen of this version into a folder.
fn install(version: &str, root: &Utf8Path, options: &[&str]) -> anyhow::Result<()> {
    let mut install = cargo::command();
    install.args(["install", "wasm-bindgen-cli", "--version", &format!("={version}"), "--root"]);
    // They have little to do: fast to build matters more than fast to run.
    install.arg(root).args(["--config", "profile.release.opt-level=1"]).args(options);
    run(&mut install)
}

/// Installs the packages that the package-lock.json of a folder lists, unless they are there in the same versions.
pub(crate) fn ensure_node_modules(folder: &Utf8Path) -> anyhow::Result<()> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let wanted =
        read("package-lock.json").with_context(|| format!("cannot read {folder}/package-lock.json"))?;
    // npm writes it when all others are there.
    if read("node_modules/.package-lock.json").is_ok_and(|installed| is_installed(&wanted, &installed)) {
        return Ok(());
    }
    let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(Command::new(program_of_npm()).args(options).current_dir(folder))
}

/// Whether the lock of what is installed has the packages of the other one, and no more.
fn is_installed(wanted: &str, installed: &str) -> bool {
    let packages = |text: &str| -> Option<BTreeMap<String, [Value; 2]>> {
        let lock: Value = serde_json::from_str(text).ok()?;
        // The one without a name is the folder itself.
        let packages = lock.get("packages")?.as_object()?.iter().filter(|(name, _)| !name.is_empty());
        let of = |package: &Value| {
            ["version", "integrity"].map(|key| package.get(key).cloned().unwrap_or_default())
        };
        Some(packages.map(|(name, package)| (name.clone(), of(package))).collect())
    };
    packages(wanted).is_some_and(|wanted| Some(wanted) == packages(installed))
}

/// npm, which is a script on Windows.
fn program_of_npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
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

#[cfg(test)]
mod tests {
    use super::is_installed;

    #[test]
    fn what_is_installed_is_compared() {
        let lock = |own: &str, version: &str, rest: &str| {
            let package = format!(r#"{{"version": "{version}", "integrity": "sha512-a", "dev": true}}"#);
            format!(r#"{{"packages": {{{own}"node_modules/playwright-core": {package}{rest}}}}}"#)
        };
        let wanted = lock(r#""": {"name": "tests"}, "#, "1.61.0", "");
        assert!(is_installed(&wanted, &lock("", "1.61.0", "")));
        assert!(!is_installed(&wanted, &lock("", "1.60.0", "")));
        assert!(!is_installed(
            &wanted,
            &lock("", "1.61.0", r#", "node_modules/other": {"version": "1.0.0"}"#)
        ));
        assert!(!is_installed(&wanted, r#"{"packages": {}}"#));
        assert!(!is_installed(&wanted, "damaged"));
        assert!(!is_installed("damaged", "damaged"));
    }
}
