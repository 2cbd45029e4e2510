//! Outcomes in files: an interrupted run goes on with them.

use crate::experiment::Outcome;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// With what an experiment was run. An outcome of other settings is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) quick: bool,
    pub(crate) device: String,
}

/// What is in the file of an experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    settings: Settings,
    /// How long it took.
    pub(crate) seconds: f64,
    pub(crate) outcome: Outcome,
}

impl Kept {
    pub(crate) fn new(settings: &Settings, time: Duration, outcome: Outcome) -> Self {
        Self { settings: settings.clone(), seconds: time.as_secs_f64(), outcome }
    }

    /// Nothing if there is no file, if it is not one of ours, or if it has other settings.
    pub(crate) fn read(path: &Path, settings: &Settings) -> Option<Self> {
        let kept: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (kept.settings == *settings).then_some(kept)
    }

    /// The file is there as a whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let whole = path.with_extension("json.new");
        let write = || -> anyhow::Result<()> {
            std::fs::write(&whole, serde_json::to_vec_pretty(self)?)?;
            Ok(std::fs::rename(&whole, path)?)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}
