//! The table and the JSON record.

use super::config::Config;
use super::row::{Pass, Row};
use super::scratch::{self, Scratch};
use super::shapes::layout_name;
use super::summary::{WORTHLESS_SPREAD, geometric_mean};
use super::timer::Clock;
use crate::environment::Environment;
use comfy_table::{CellAlignment, ColumnConstraint, Table, presets};
use serde::Serialize;
use std::io::{self, Write};
use wgpu_batchnorm::Layout;

/// Something about a shape that the rows do not say: why there are none, or what they leave out.
#[derive(Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) shape: String,
    pub(crate) layout: &'static str,
    pub(crate) note: String,
}

/// The columns that hold numbers, from milliseconds to the speed-up.
const FIRST_NUMBER: usize = 3;
const LAST_NUMBER: usize = 10;

/// What `--json` writes.
#[derive(Serialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) environment: Environment,
    pub(crate) clock: Clock,
    pub(crate) cpu: String,
    pub(crate) cpu_threads: usize,
    /// Bytes that a cache may hold between two uses of a tensor; none if it may hold a tensor too.
    pub(crate) cache_bytes: Option<u64>,
    pub(crate) repetitions: usize,
    /// Of all rows, as far as they do not say otherwise.
    pub(crate) config: Config,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<Note>,
}

impl Record {
    /// How many rows have results that are not right.
    pub(crate) fn failures(&self) -> usize {
        self.rows.iter().filter(|row| row.failed()).count()
    }

    /// Writes where the times come from, to be read while they are taken.
    pub(crate) fn write_head(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "adapter  {}", self.environment.adapter)?;
        writeln!(out, "times    {}", self.clock)?;
        writeln!(out, "CPU      baseline on {} threads of {}", self.cpu_threads, self.cpu)?;
        writeln!(out, "layer    {}", self.config)?;
        match self.cache_bytes {
            Some(bytes) => writeln!(out, "cache    cold: tensors take turns, {} MiB apart", bytes >> 20)?,
            None => writeln!(out, "cache    warm: the same tensors in every run")?,
        }
        writeln!(out, "medians of {}, ± half the distance of the quartiles", self.repetitions)?;
        if !self.environment.optimized {
            writeln!(
                out,
                "This program was built without optimizations: build it with --release to compare times."
            )?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.rows.is_empty() {
            writeln!(out, "{}", self.table())?;
        }
        for Note { shape, layout, note } in &self.notes {
            writeln!(out, "{shape} {layout}: {note}")?;
        }
        if self.rows.iter().any(Row::is_worthless) {
            let percent = WORTHLESS_SPREAD * 100.0;
            writeln!(out, "! the quartiles are more than {percent:.0} % apart: repeat on a quiet machine")?;
        }
        self.write_doubts(out)?;
        self.write_networks(out)?;
        for pass in [Pass::Forward, Pass::Evaluation, Pass::Backward] {
            let rows = self.rows.iter().filter(|row| row.is_plain(pass));
            let speed_ups: Vec<_> = rows.filter_map(|row| row.speed_up).collect();
            if speed_ups.len() > 1 {
                let (name, mean) = (pass.name(), geometric_mean(&speed_ups));
                writeln!(out, "{name}: {mean:.2} times as fast as the CPU baseline (geometric mean)")?;
            }
        }
        match self.failures() {
            0 => Ok(()),
            failures => writeln!(out, "ACCURACY FAIL in {failures} of {} rows", self.rows.len()),
        }
    }

    /// What a reader should know before believing the figures.
    fn write_doubts(&self, out: &mut dyn Write) -> io::Result<()> {
        let over: Vec<_> = self.rows.iter().filter_map(|row| row.scratch).filter(Scratch::is_over).collect();
        if !over.is_empty() {
            let (rows, percent, mib) = (over.len(), scratch::MOST_SHARE * 100.0, scratch::MOST_BYTES >> 20);
            writeln!(
                out,
                "! scratch memory beyond {percent:.0} % of the tensor or {mib} MiB in {rows} rows"
            )?;
        }
        let cached = |row: &&Row| row.turns.is_some_and(|turns| turns.cached);
        let cached = self.rows.iter().filter(cached).count();
        if let Some(bytes) = self.cache_bytes.filter(|_| cached > 0) {
            let mib = bytes >> 20;
            writeln!(
                out,
                "! {cached} rows touch less than {mib} MiB in all turns: a cache may hold their tensors"
            )?;
        }
        Ok(())
    }

    /// What all layers of a network take together, where the shapes are those of one.
    fn write_networks(&self, out: &mut dyn Write) -> io::Result<()> {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast].map(layout_name) {
            let of = |pass| self.rows.iter().filter(move |row| row.layout == layout && row.is_plain(pass));
            let layers: usize = of(Pass::Forward).map(|row| row.layers).sum();
            if layers == of(Pass::Forward).count() {
                continue;
            }
            let total = |pass| of(pass).map(|row| row.layers as f64 * row.time.median_ms).sum::<f64>();
            let (forward, backward) = (total(Pass::Forward), total(Pass::Backward));
            writeln!(out, "{layers} layers, {layout}: forward {forward:.2} ms, backward {backward:.2} ms")?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "shape",
            "layout",
            "pass",
            "ms",
            "GB/s",
            "of copy",
            "moves",
            "MB",
            "scratch",
            "CPU ms",
            "speed-up",
            "error/bound",
        ]);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 1));
            if (FIRST_NUMBER..=LAST_NUMBER).contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            // What no row has, such as a CPU that knows no 16-bit elements.
            if self.rows.iter().all(|row| row.cells()[index].is_empty()) {
                column.set_constraint(ColumnConstraint::Hidden);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Description;
    use crate::bench::accuracy::Accuracy;
    use crate::bench::shapes::BenchShape;
    use crate::bench::summary::Summary;

    fn record(error_over_bound: f64, seconds: &[f64]) -> Result<Record, String> {
        let shape: BenchShape = "8,16,4,4".parse()?;
        let (copy, time) = (Summary::of(&[0.001]), Summary::of(seconds));
        let accuracy = Accuracy { error_over_bound, result: "dx", passed: error_over_bound <= 1.0 };
        let config = Config::default();
        // The copy moves 8 KiB twice.
        let copy_rate = 2.0 * 8192.0 / (copy.median_ms * 1e-3);
        let what = ((&shape, Layout::ChannelsFirst), (&config, None));
        let row = Row::new(what.0, what.1, (Pass::Backward, 5.0, time), copy_rate);
        let name = || "one for tests".to_owned();
        let (backend, driver, driver_info) = (name(), name(), name());
        let adapter = Description { name: name(), backend, kind: "CPU", driver, driver_info };
        Ok(Record {
            environment: Environment::new(adapter),
            clock: Clock::Wall { reason: name() },
            cpu: name(),
            cpu_threads: 2,
            cache_bytes: Some(256 << 20),
            repetitions: seconds.len(),
            config,
            rows: vec![row.compared(Some(Summary::of(&[0.010]))).checked(Some(accuracy))],
            notes: Vec::new(),
        })
    }

    fn written(record: &Record) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail; if it did, what is missing would fail the test.
        let _ = record.write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn a_row_says_everything() -> Result<(), String> {
        let record = record(0.25, &[0.005, 0.005, 0.005])?;
        assert_eq!(record.failures(), 0);
        // 5 moves of 8 KiB in 5 ms; the copy takes 1 ms for 2 moves.
        let text = written(&record);
        for part in
            ["8×16×4×4", "backward", "5.00 ± 0 %", "50 %", "5.0", "10.00 ± 0 %", "2.00×", "ok 0.25 (dx)"]
        {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert!(!text.contains("FAIL") && !text.contains('!'), "{text}");
        Ok(())
    }

    #[test]
    fn failures_and_spreads_are_not_hidden() -> Result<(), String> {
        let record = record(f64::INFINITY, &[0.001, 0.005, 0.009])?;
        assert_eq!(record.failures(), 1);
        let text = written(&record);
        for part in
            ["ACCURACY FAIL inf (dx)", "ACCURACY FAIL in 1 of 1 rows", "± 40 % !", "repeat on a quiet"]
        {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        let json = serde_json::to_value(&record).map_err(|error| error.to_string())?;
        let row = &json["rows"][0];
        assert_eq!(row["accuracy"]["passed"], false);
        assert_eq!((&row["dtype"], &row["activation"]), (&"f32".into(), &"none".into()));
        assert_eq!((&row["source"], &row["order"]), (&"batch".into(), &"post".into()));
        assert!(row["ghost"].is_null() && row["feature"].is_null() && row["residual"] == false);
        Ok(())
    }
}
