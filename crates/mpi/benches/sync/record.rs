//! What was measured.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Of one run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Record {
    /// That may run at once.
    pub(crate) cores: usize,
    pub(crate) adapter: Option<String>,
    /// Whether the program was built with optimizations; times of one that was not say nothing.
    pub(crate) optimized: bool,
    /// Whether little was measured, to see that it can be.
    pub(crate) quick: bool,
    /// Exchanges alone.
    pub(crate) points: Vec<Point>,
    /// Passes.
    pub(crate) rows: Vec<Row>,
}

/// All that a report is about.
#[derive(Debug, Serialize)]
pub(crate) struct Records {
    /// Of ranks that share memory.
    pub(crate) memory: Record,
    /// Of ranks that have a network between them; not measured where another one is given.
    pub(crate) network: Option<Record>,
}

/// An exchange without a device.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Point {
    pub(crate) algorithm: String,
    pub(crate) ranks: usize,
    /// That each rank gives.
    pub(crate) bytes: usize,
    /// Median of the first rank.
    pub(crate) microseconds: f64,
}

/// A pass of a layer; medians of the first rank, in microseconds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) ranks: usize,
    pub(crate) channels: usize,
    /// Height and width.
    pub(crate) size: usize,
    pub(crate) pass: String,
    /// Of this rank's record.
    pub(crate) bytes: usize,
    /// Both halves.
    pub(crate) device: f64,
    /// Between device and host, both ways.
    pub(crate) copy: f64,
    /// From the record on the host to the records of all, checked.
    pub(crate) sync: f64,
    /// The same, of this thread's CPU time.
    pub(crate) sync_cpu: f64,
    /// `MPI_Allreduce` of as many bytes.
    pub(crate) all_reduce: f64,
    pub(crate) all_reduce_cpu: f64,
}

impl Row {
    /// CPU time of an exchange beyond that of `MPI_Allreduce`.
    pub(crate) fn overhead(&self) -> f64 {
        self.sync_cpu - self.all_reduce_cpu
    }
}

impl Record {
    pub(crate) fn new(has_device: bool, quick: bool) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            adapter: has_device.then(String::new),
            optimized: !cfg!(debug_assertions),
            quick,
            points: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is no record of this program", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        write(path, self)
    }
}

impl Records {
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        write(path, self)
    }
}

fn write(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(value)?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
