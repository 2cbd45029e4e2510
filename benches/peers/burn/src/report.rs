//! The rows of a run, as a table and as the JSON that all peers write.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// All rows of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    peer: &'static str,
    adapter: String,
    rows: Vec<Row>,
}

/// One pass over one shape, in milliseconds.
#[derive(Serialize)]
pub(crate) struct Row {
    shape: Vec<usize>,
    layout: &'static str,
    pass: &'static str,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
}

impl Row {
    /// The row of `durations`, which holds at least one.
    pub(crate) fn new(shape: &[usize], pass: &'static str, durations: Vec<Duration>) -> Self {
        let mut ms: Vec<f64> = durations.iter().map(|duration| duration.as_secs_f64() * 1e3).collect();
        ms.sort_by(f64::total_cmp);
        let at = |position: usize| ms.get(position).copied().unwrap_or(f64::NAN);
        let last = ms.len().saturating_sub(1);
        // The middle value, or the mean of the two.
        let median_ms = (at(last / 2) + at(last.div_ceil(2))) / 2.0;
        Self {
            shape: shape.to_vec(),
            layout: "channels_first",
            pass,
            median_ms,
            min_ms: at(0),
            max_ms: at(last),
        }
    }
}

impl Report {
    pub(crate) fn new(adapter: String) -> Self {
        Self { peer: "burn 0.22.1 wgpu", adapter, rows: Vec::new() }
    }

    pub(crate) fn print_head(&self) {
        println!("{} on {}, channels first, f32", self.peer, self.adapter);
        println!("{:<22} {:<9} {:>11} {:>11} {:>11}", "shape", "pass", "median ms", "min ms", "max ms");
    }

    /// Prints the row and keeps it.
    pub(crate) fn push(&mut self, row: Row) {
        let shape = format!("{:?}", row.shape);
        println!(
            "{shape:<22} {:<9} {:>11.3} {:>11.3} {:>11.3}",
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
