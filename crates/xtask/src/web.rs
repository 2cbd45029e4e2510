//! `cargo xtask web`: the page, built and served.

use crate::cargo;
use crate::tools::{self, WASM, Workspace};
use anyhow::{Context as _, ensure};
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write as _;
use std::process::{Command, ExitCode};

/// Build the page of crates/web into target/web, and serve it on loopback.
///
/// The page checks every oracle case, measures, and shows two networks train, on the GPU of the browser that opens
/// it. The folder is static: any web server that speaks https can serve it. The first build takes some minutes,
/// because it builds wasm-bindgen too.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask web --port 8000")]
pub(crate) struct Arguments {
    /// The port to serve it on; 0 for any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Build it and stop.
    #[arg(long)]
    build_only: bool,
}

/// The package, and the name of what it builds.
pub(crate) const PACKAGE: &str = "wgpu-batchnorm-web";
const MODULE: &str = "wgpu_batchnorm_web";
/// The profile. cargo has a folder of this name, so that it is another one than the page's.
const PROFILE: &str = "page";
/// The server's package.
pub(crate) const SERVER: &str = "wgpu-batchnorm-serve";
/// What is promised: all that a visitor downloads, compressed.
const MOST_BYTES: usize = 3_000_000;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let folder = build(&Workspace::find()?)?;
    if arguments.build_only {
        return Ok(ExitCode::SUCCESS);
    }
    let mut serve = cargo::command();
    serve.args([
        "run",
        "--quiet",
        "-p",
        SERVER,
        "--",
        folder.as_str(),
        "--port",
        &arguments.port.to_string(),
    ]);
    Ok(cargo::exit_code(serve.status().context("cannot run the server")?))
}

/// Builds the page, and returns its folder.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Utf8PathBuf> {
    tools::ensure_target()?;
    let programs = workspace.wasm_bindgen()?;
    let mut build = cargo::command();
    tools::run(build.args(["build", "-p", PACKAGE, "--lib", "--target", WASM, "--profile", PROFILE]))?;

    let folder = workspace.target.join("web");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {folder}"))?;
    }
    let module = workspace.target.join(WASM).join(PROFILE).join(format!("{MODULE}.wasm"));
    let mut bind = Command::new(programs.join(tools::program("wasm-bindgen")));
    // Names are a good part of the file, and nobody reads them there.
    bind.args(["--target", "web", "--no-typescript", "--remove-name-section", "--out-dir"]);
    tools::run(bind.arg(folder.join("pkg")).arg(module))?;

    let root = Utf8Path::new(cargo::ROOT);
    for file in files(&root.join("crates/web/page"))? {
        let to = folder.join(file.file_name().unwrap_or_default());
        fs::copy(&file, &to).with_context(|| format!("cannot copy {file} to {to}"))?;
    }
    add_cases(&root.join("tests/cases"), &folder.join("cases"))?;

    let bytes = compressed_bytes(&folder)?;
    ensure!(
        bytes <= MOST_BYTES,
        "the page has {bytes} bytes compressed, expected at most {MOST_BYTES}: find out what has grown"
    );
    println!("{folder}: {:.2} MB compressed, with all cases", bytes as f64 * 1e-6);
    Ok(folder)
}

/// Compresses the cases into `to`, beside a list of them.
fn add_cases(from: &Utf8Path, to: &Utf8Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {to}"))?;
    let mut cases: Vec<_> = files(from)?.into_iter().chain(files(&from.join("made"))?).collect();
    cases.retain(|case| case.extension() == Some("safetensors"));
    let mut names = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap_or_default();
        ensure!(!names.contains(&name), "two cases are called {name}: rename one of them");
        names.push(name);
        let bytes = fs::read(case).with_context(|| format!("cannot read {case}"))?;
        let path = to.join(format!("{name}.gz"));
        fs::write(&path, compressed(&bytes)?).with_context(|| format!("cannot write {path}"))?;
    }
    let list = to.join("index.json");
    fs::write(&list, serde_json::to_string(&names)?).with_context(|| format!("cannot write {list}"))
}

/// The files of a folder, by name.
fn files(folder: &Utf8Path) -> anyhow::Result<Vec<Utf8PathBuf>> {
    let entries = folder.read_dir_utf8().with_context(|| format!("cannot read {folder}"))?;
    let paths = entries.map(|entry| Ok(entry?.into_path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<_> = paths.into_iter().filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

fn compressed(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// What a visitor downloads of a folder, from a server that compresses.
fn compressed_bytes(folder: &Utf8Path) -> anyhow::Result<usize> {
    let mut bytes = 0;
    let folders = [folder.to_owned(), folder.join("pkg"), folder.join("cases")];
    for file in folders.iter().map(|folder| files(folder)).collect::<anyhow::Result<Vec<_>>>()?.concat() {
        bytes += compressed(&fs::read(&file).with_context(|| format!("cannot read {file}"))?)?.len();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_listed_and_compressed() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let folder = Utf8Path::from_path(folder.path()).context("the folder's name is no text")?;
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("made"))?;
        for name in ["b.safetensors", "made/a.safetensors", "FORMAT.md", "made/make.py"] {
            fs::write(from.join(name), [0; 1000])?;
        }
        add_cases(&from, &to)?;
        let list: Vec<String> = serde_json::from_str(&fs::read_to_string(to.join("index.json"))?)?;
        assert_eq!(list, ["b.safetensors", "a.safetensors"]);
        assert!(list.iter().all(|name| to.join(format!("{name}.gz")).is_file()));
        assert_eq!(files(&to)?.len(), 3);
        fs::write(from.join("a.safetensors"), [])?;
        assert!(add_cases(&from, &to).is_err_and(|error| error.to_string().contains("two cases")));
        Ok(())
    }
}
