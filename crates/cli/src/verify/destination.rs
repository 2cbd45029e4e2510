//! Where `--save-outputs` writes, without ever writing over a case.

use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wgpu_batchnorm_oracle::{Outputs, name_of, save_outputs};

/// A folder for outputs.
pub(crate) struct Destination {
    folder: PathBuf,
}

impl Destination {
    /// The folder, made if it is not there, for the outputs of `cases`.
    ///
    /// # Errors
    /// If it cannot be made, if two different cases would be saved in one file, or if a file that is to
    /// be written is one of the cases.
    pub(crate) fn new(folder: &Path, cases: &[PathBuf]) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let this = Self { folder: folder.to_owned() };
        let mut saved_from = BTreeMap::new();
        for case in cases {
            let real = real_path(case);
            let other = saved_from.insert(this.file_for(case), real.clone());
            if let Some(other) = other.filter(|other| *other != real) {
                let (first, second) = (other.display(), real.display());
                bail!("{first} and {second} would be saved in one file: verify them one after the other");
            }
        }
        for (file, case) in &saved_from {
            if file.exists() && saved_from.values().any(|case| *case == real_path(file)) {
                let (file, case) = (file.display(), case.display());
                bail!("the outputs of {case} would replace the case {file}: save them in another folder");
            }
        }
        Ok(this)
    }

    /// Saves the outputs of the case at `case`, and tells where.
    pub(crate) fn save(&self, case: &Path, outputs: &Outputs) -> anyhow::Result<PathBuf> {
        let file = self.file_for(case);
        save_outputs(&file, outputs).context("the outputs could not be saved")?;
        Ok(file)
    }

    fn file_for(&self, case: &Path) -> PathBuf {
        self.folder.join(format!("{}.safetensors", name_of(case)))
    }
}

/// The path with all links followed, or as it is where that fails: reading it will tell why.
fn real_path(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
