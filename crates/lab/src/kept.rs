//! Outcomes in files: an interrupted run goes on with them.

use crate::experiment::{Experiment, Outcome};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// With what experiments are run. An outcome of other settings is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) quick: bool,
    pub(crate) device: String,
}

/// What is in the file of an experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    settings: Settings,
    /// Of the experiment when it was run. An outcome of another method is none either.
    method: String,
    /// How long it took.
    pub(crate) seconds: f64,
    pub(crate) outcome: Outcome,
}

impl Kept {
    pub(crate) fn new(
        settings: &Settings,
        experiment: &Experiment,
        time: Duration,
        outcome: Outcome,
    ) -> Self {
        let method = experiment.method.to_owned();
        Self { settings: settings.clone(), method, seconds: time.as_secs_f64(), outcome }
    }

    /// Nothing if there is no file, if it is not one of ours, or if it has other settings or another method.
    pub(crate) fn read(path: &Path, settings: &Settings, experiment: &Experiment) -> Option<Self> {
        let kept: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (kept.settings == *settings && kept.method == experiment.method).then_some(kept)
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
