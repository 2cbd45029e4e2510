//! Making sure that there is an adapter.

use crate::apt;
use crate::system::{Remedy, System, Wanted};
use anyhow::{Context as _, bail};
use cargo_metadata::camino::Utf8Path;
use std::process::Command;

/// What hides adapters: the variables of the Vulkan loader, and wgpu's.
const RESTRICTING: [&str; 5] = [
    "VK_DRIVER_FILES",
    "VK_ICD_FILENAMES",
    "VK_LOADER_DRIVERS_SELECT",
    "VK_LOADER_DRIVERS_DISABLE",
    "WGPU_BACKEND",
];

/// Installs an adapter if `program`, the batchnorm program, finds none. It fails, saying what to do,
/// where that cannot be done.
///
/// The program itself is asked, since the files of a driver say little: they may be there without
/// their library, or without the GPU that they drive.
pub(crate) fn ensure(program: &Utf8Path) -> anyhow::Result<()> {
    let mut info = Command::new(program);
    ensure_for(info.arg("info"))
}

/// The same with another question than `batchnorm info`: a command that fails if it finds no adapter.
pub(crate) fn ensure_for(question: &mut Command) -> anyhow::Result<()> {
    let Some(reason) = missing(question)? else { return Ok(()) };
    eprintln!("There is no adapter yet: {reason}");
    match System::current().remedy(Wanted::Adapter) {
        Remedy::Apt => apt::install(&apt::ADAPTER)?,
        Remedy::ByHand(advice) => bail!("no adapter. {advice}, and run this again."),
    }
    let Some(reason) = missing(question)? else { return Ok(()) };
    let set = restrictions(|name| std::env::var(name).ok());
    bail!("there is still no adapter after the installation: {reason}{set}")
}

/// Why there is no adapter, or nothing if there is one.
fn missing(question: &mut Command) -> anyhow::Result<Option<String>> {
    let answer = question.output().with_context(|| format!("cannot run {question:?}"))?;
    if answer.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    let said = said.trim().trim_start_matches("error: ");
    Ok(Some(if said.is_empty() { format!("{question:?}: {}", answer.status) } else { said.to_owned() }))
}

/// Gives a program that uses an adapter the folder that Mesa's driver asks for, where a machine without a
/// desktop has none: the driver would print a line that looks like an error, and go on.
pub(crate) fn with_runtime_folder(program: &mut Command) -> &mut Command {
    const FOLDER: &str = "XDG_RUNTIME_DIR";
    if cfg!(target_os = "linux") && std::env::var_os(FOLDER).is_none() {
        program.env(FOLDER, std::env::temp_dir());
    }
    program
}

/// A sentence about the variables that may hide adapters, or nothing if none is set.
fn restrictions(variable: impl Fn(&str) -> Option<String>) -> String {
    let set = RESTRICTING.iter().filter_map(|name| Some(format!("{name}={}", variable(name)?)));
    let set: Vec<_> = set.collect();
    if set.is_empty() { String::new() } else { format!("\nThe environment may hide it: {}", set.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::restrictions;

    #[test]
    fn variables_that_hide_adapters_are_named() {
        assert_eq!(restrictions(|_| None), "");
        let restrictions = restrictions(|name| (name == "VK_DRIVER_FILES").then(|| "/none".to_owned()));
        assert_eq!(restrictions, "\nThe environment may hide it: VK_DRIVER_FILES=/none");
    }
}
