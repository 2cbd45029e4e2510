//! The rows of a run, as a table and as the JSON that all peers write.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Serialize;

/// All rows of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    peer: &'static str,
    adapter: String,
    /// Where the times come from.
    clock: &'static str,
    rows: Vec<Row>,
}

/// One pass over one shape, in milliseconds.
#[derive(Serialize)]
pub(crate) struct Row {
    shape: Vec<usize>,
    layout: &'static str,
    dtype: &'static str,
    pass: &'static str,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    /// Difference of the quartiles over the median.
    spread: f64,
    /// Sets of tensors that took turns.
    sets: usize,
}

impl Row {
    /// The row of these milliseconds, of which there is at least one.
    pub(crate) fn new(shape: &[usize], pass: &'static str, mut ms: Vec<f64>, sets: usize) -> Self {
        ms.sort_by(f64::total_cmp);
        let quantile = |fraction: f64| {
            let position = fraction * ms.len().saturating_sub(1) as f64;
            let below = ms.get(position.floor() as usize).copied().unwrap_or(f64::NAN);
            let above = ms.get(position.ceil() as usize).copied().unwrap_or(below);
            below + (above - below) * position.fract()
        };
        let median_ms = quantile(0.5);
        Self {
            shape: shape.to_vec(),
            layout: "channels_first",
            dtype: "f32",
            pass,
            median_ms,
            min_ms: quantile(0.0),
            max_ms: quantile(1.0),
            spread: (quantile(0.75) - quantile(0.25)) / median_ms,
            sets,
        }
    }
}

impl Report {
    pub(crate) fn new(peer: &'static str, adapter: String) -> Self {
        let clock = "host, between two synchronizations around many steps";
        Self { peer, adapter, clock, rows: Vec::new() }
    }

    pub(crate) fn print_head(&self) {
        println!("{} on {}, channels first, f32", self.peer, self.adapter);
        println!("{:<22} {:<16} {:>11} {:>11} {:>11}", "shape", "pass", "median ms", "min ms", "max ms");
    }

    /// Prints the row and keeps it.
    pub(crate) fn push(&mut self, row: Row) {
        let shape = format!("{:?}", row.shape);
        println!(
            "{shape:<22} {:<16} {:>11.3} {:>11.3} {:>11.3}",
            row.pass, row.median_ms, row.min_ms, row.max_ms
        );
        self.rows.push(row);
    }

    /// Writes all rows as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let json = serde_json::to_string_pretty(self)?;
        fs::write(path, json + "\n").map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(())
    }
}
