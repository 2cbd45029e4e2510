//! `cargo xtask test-web`: the library and the page in a real browser.

use crate::system::{Remedy, System, Wanted};
use crate::tools::{self, WASM, Workspace};
use crate::web::{self, PACKAGE, SERVER};
use crate::{apt, cargo};
use anyhow::{Context as _, anyhow, bail};
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};

/// Run the tests of the library and of the page in headless Chromium, on a WebGPU adapter in software.
///
/// What is missing is installed on Debian: Chromium, its driver and Node.js. Elsewhere it is said what to install.
#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask test-web --screenshots /tmp/screenshots")]
pub(crate) struct Arguments {
    /// Leave screenshots of the page in this folder.
    #[arg(long, value_name = "DIR")]
    screenshots: Option<Utf8PathBuf>,
}

/// A program that the tests run.
struct Program {
    /// The names that it has.
    names: &'static [&'static str],
    /// The package that brings it.
    package: &'static str,
}

const PROGRAMS: [Program; 4] = [
    Program { names: &["chromium", "google-chrome", "google-chrome-stable"], package: "chromium" },
    Program { names: &["chromedriver"], package: "chromium-driver" },
    Program { names: &["node"], package: "nodejs" },
    Program { names: &["npm"], package: "npm" },
];
/// Seconds that all tests of the library together may take in the browser.
const LIMIT: &str = "1200";
/// Seconds that the browser's driver may take to start.
const DRIVER_LIMIT: &str = "60";

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let [chromium, chromedriver, ..] = ensure_programs()?;
    let workspace = Workspace::find()?;
    let page = web::build(&workspace)?;

    let runner = workspace.wasm_bindgen()?.join(tools::program("wasm-bindgen-test-runner"));
    let mut library = cargo::command();
    library.args(["test", "-p", PACKAGE, "--target", WASM, "--test", "browser"]);
    library.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner).env("CHROMEDRIVER", chromedriver);
    library.env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", driven(&chromium, &workspace.target)?);
    library.env("WASM_BINDGEN_TEST_TIMEOUT", LIMIT).env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", DRIVER_LIMIT);
    tools::run(&mut library)?;

    let folder = Utf8Path::new(cargo::ROOT).join("crates/web");
    tools::ensure_node_modules(&folder)?;
    let server = Server::start(&page)?;
    let mut test = Command::new("node");
    test.args(["--test", "tests/page.test.mjs"]).current_dir(&folder);
    test.env("PAGE", &server.address).env("CHROMIUM", chromium);
    if let Some(screenshots) = &arguments.screenshots {
        test.env("SCREENSHOTS", std::path::absolute(screenshots)?);
    }
    Ok(cargo::exit_code(test.status().context("cannot run node")?))
}

/// The capabilities that the tests ask for, of this browser instead of the one that its driver prefers: a file in a folder.
fn driven(chromium: &Utf8Path, folder: &Utf8Path) -> anyhow::Result<Utf8PathBuf> {
    let given = Utf8Path::new(cargo::ROOT).join("crates/web/webdriver.json");
    let text = fs::read_to_string(&given).with_context(|| format!("cannot read {given}"))?;
    let mut capabilities: Value =
        serde_json::from_str(&text).with_context(|| format!("{given} is no JSON"))?;
    capabilities["goog:chromeOptions"]["binary"] = chromium.as_str().into();
    let file = folder.join("webdriver.json");
    fs::write(&file, capabilities.to_string()).with_context(|| format!("cannot write {file}"))?;
    Ok(file)
}

impl Program {
    /// Where it is.
    fn find(&self) -> Option<Utf8PathBuf> {
        self.names.iter().find_map(|name| tools::found(name))
    }

    /// Those that are not there.
    fn missing() -> Vec<&'static Self> {
        PROGRAMS.iter().filter(|program| program.find().is_none()).collect()
    }
}

/// What is not there, in a sentence.
fn told(missing: &[&Program]) -> String {
    let names: Vec<_> = missing.iter().filter_map(|program| program.names.first().copied()).collect();
    names.join(", no ")
}

/// The paths of the programs; those that are missing are installed.
fn ensure_programs() -> anyhow::Result<[Utf8PathBuf; 4]> {
    let missing = Program::missing();
    if !missing.is_empty() {
        eprintln!("There is no {} yet.", told(&missing));
        match System::current().remedy(Wanted::Browser) {
            Remedy::Apt => {
                let packages: Vec<_> = missing.iter().map(|program| program.package).collect();
                apt::install(&apt::BROWSER.only(&packages))?;
            }
            Remedy::ByHand(advice) => {
                bail!("there is no {}. {advice}, and run this again.", told(&missing))
            }
        }
    }
    let found: Vec<_> = PROGRAMS.iter().filter_map(Program::find).collect();
    <[Utf8PathBuf; 4]>::try_from(found)
        .map_err(|_| anyhow!("there is still no {} after the installation", told(&Program::missing())))
}

/// The page's server, as long as this is there.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(folder: &Utf8Path) -> anyhow::Result<Self> {
        let is_server = |artifact: &cargo_metadata::Artifact| artifact.target.name == SERVER;
        let program = cargo::build(&["build", "-p", SERVER], &[], is_server)?;
        let mut command = Command::new(program);
        command.args([folder.as_str(), "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot run the server")?;
        let output = process.stdout.take();
        // From here on the process ends with it.
        let mut server = Self { process, address: String::new() };
        let mut line = String::new();
        let mut output = BufReader::new(output.context("the server has no output")?);
        output.read_line(&mut line).context("the server says nothing")?;
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        address
            .with_context(|| format!("the server says {line:?}, expected its address"))?
            .clone_into(&mut server.address);
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended if it cannot be ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_installed() {
        let packages = apt::BROWSER.only(&["chromium-driver"]);
        assert!(format!("{packages:?}").ends_with(r#"names: ["chromium-driver"] }"#), "{packages:?}");
        // Each program has a package there.
        let all = PROGRAMS.map(|program| program.package);
        assert_eq!(format!("{:?}", apt::BROWSER.only(&all)), format!("{:?}", apt::BROWSER));
    }
}
