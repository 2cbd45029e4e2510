//! The table and the JSON record.

use super::compare::{self, BesideFastest, PeerRun};
use super::config::Config;
use super::row::{Pass, Row};
use super::scratch;
use super::shapes::layout_name;
use crate::environment::Environment;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, Table, presets};
use serde::Serialize;
use std::io::{self, Write};
use wgpu_batchnorm::Layout;
use wgpu_batchnorm_measure::timer::Clock;
use wgpu_batchnorm_report::{WORTHLESS_SPREAD, geometric_mean, unit};

/// Something about a shape that the rows do not say: why there are none, or what they leave out.
#[derive(Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) shape: String,
    pub(crate) layout: &'static str,
    pub(crate) note: String,
}

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
    /// Whether the shapes are those of one layer that grows.
    pub(crate) growth: bool,
    /// What was compared with.
    pub(crate) peers: Vec<PeerRun>,
    /// Of all rows, as far as they do not say otherwise.
    pub(crate) config: Config,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<Note>,
}

impl Record {
    /// Of the table; see [`Row::cells`].
    pub(crate) const COLUMNS: [&str; 12] = [
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
    ];

    /// Whether the column holds numbers: from the milliseconds to the speed-up.
    pub(crate) fn is_number(column: usize) -> bool {
        (3..=10).contains(&column)
    }

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
        writeln!(out, "cache    {}", self.cache())?;
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
        for note in self.all_notes() {
            writeln!(out, "{note}")?;
        }
        for doubt in self.doubts() {
            writeln!(out, "! {doubt}")?;
        }
        self.write_networks(out)?;
        if self.growth {
            writeln!(out, "time per element and scratch memory\n{}", self.growth_table())?;
        }
        self.write_peers(out)?;
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

    /// Whether a cache may hold what the passes read.
    pub(crate) fn cache(&self) -> String {
        match self.cache_bytes {
            Some(bytes) => format!("cold: tensors take turns, {} MiB apart", bytes >> 20),
            None => "warm: the same tensors in every run".to_owned(),
        }
    }

    /// What the rows do not say.
    pub(crate) fn all_notes(&self) -> impl Iterator<Item = String> {
        let ours = self.notes.iter().map(|Note { shape, layout, note }| format!("{shape} {layout}: {note}"));
        let theirs =
            self.peers.iter().flat_map(|run| run.notes.iter().map(|note| format!("{}: {note}", run.peer)));
        ours.chain(theirs)
    }

    /// What a reader should know before believing the figures.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if !self.environment.optimized {
            doubts.push("the program was built without optimizations: its times say nothing".to_owned());
        }
        let count = |doubtful: fn(&Row) -> bool| self.rows.iter().filter(|row| doubtful(row)).count();
        let (all, worthless) = (self.rows.len(), count(Row::is_worthless));
        if worthless > 0 {
            let percent = WORTHLESS_SPREAD * 100.0;
            doubts.push(format!(
                "in {worthless} of {all} rows the quartiles are more than {percent:.0} % apart: repeat on a quiet machine"
            ));
        }
        let over = count(|row| row.scratch.is_some_and(|scratch| scratch.is_over()));
        if over > 0 {
            let (percent, mib) = (scratch::MOST_SHARE * 100.0, scratch::MOST_BYTES >> 20);
            doubts.push(format!(
                "in {over} of {all} rows scratch memory is beyond {percent:.0} % of the tensor or {mib} MiB"
            ));
        }
        let cached = count(|row| row.turns.is_some_and(|turns| turns.cached));
        if let Some(bytes) = self.cache_bytes.filter(|_| cached > 0) {
            let mib = bytes >> 20;
            doubts.push(format!(
                "{cached} of {all} rows touch less than {mib} MiB in all turns: a cache may hold their tensors"
            ));
        }
        for run in self.peers.iter().filter(|run| run.compared == 0) {
            doubts.push(format!(
                "{} measured none of these rows: give it the same shapes, layouts and types",
                run.peer
            ));
        }
        doubts
    }

    /// The peers' times, and how many times as long as ours they are.
    fn write_peers(&self, out: &mut dyn Write) -> io::Result<()> {
        let names = compare::names(&self.rows);
        if names.is_empty() {
            return Ok(());
        }
        let mut table = table(["shape", "layout", "pass", "ms"].into_iter().chain(names.iter().copied()), 3);
        for row in self.rows.iter().filter(|row| !row.peers.is_empty()) {
            let head =
                [row.shape.clone(), row.layout.to_owned(), row.name(), unit::digits(row.time.median_ms)];
            table.add_row(head.into_iter().chain(names.iter().map(|name| row.peer_cell(name))));
        }
        writeln!(out, "peers: milliseconds, and how many times as long as ours that is\n{table}")?;
        for name in names {
            let mut means = Vec::new();
            for pass in [Pass::Forward, Pass::Evaluation, Pass::Backward] {
                let rows = self.rows.iter().filter(|row| row.pass == pass);
                let peers = rows.flat_map(|row| &row.peers).filter(|compared| compared.peer == name);
                let ratios: Vec<_> = peers.map(|compared| compared.ratio).collect();
                if !ratios.is_empty() {
                    means.push(format!("{} {}", pass.name(), unit::factor(geometric_mean(&ratios))));
                }
            }
            writeln!(out, "{name}: {} as long as ours (geometric means)", means.join(", "))?;
        }
        for pass in [Pass::Forward, Pass::Evaluation, Pass::Backward] {
            let Some(BesideFastest { mean, worst, worst_row }) = compare::beside_fastest(&self.rows, pass)
            else {
                continue;
            };
            let Row { shape, layout, .. } = worst_row;
            writeln!(
                out,
                "beside whichever is fastest in each row, our {} takes {mean:.2} of the time (geometric mean), at worst \
                 {worst:.2} ({shape} {layout} {})",
                pass.name(),
                worst_row.name()
            )?;
        }
        Ok(())
    }

    /// Nanoseconds of an element, a column a pass.
    fn growth_table(&self) -> Table {
        let passes = [Pass::Copy, Pass::Forward, Pass::Evaluation, Pass::Backward];
        let head = ["elements".to_owned(), "layout".to_owned()].into_iter();
        let names = passes.iter().map(|pass| format!("{}, ns", pass.name()));
        let mut table = table(head.chain(names).chain(["scratch".to_owned()]), 2);
        for first in self.rows.iter().filter(|row| row.is_plain(Pass::Forward)) {
            let of = |pass| {
                let mut rows = self.rows.iter().filter(move |row: &&Row| row.is_plain(pass));
                rows.find(|row| row.shape == first.shape && row.layout == first.layout)
            };
            let times = passes.map(|pass| of(pass).map(|row| format!("{:.4}", row.ns_per_element)));
            // The most that any of the passes needs.
            let scratch = passes.into_iter().filter_map(|pass| of(pass)?.scratch);
            let scratch =
                scratch.max_by_key(|scratch| scratch.scratch_bytes).map(|scratch| scratch.to_string());
            let cells = [unit::prefixed(first.elements(), ""), first.layout.to_owned()].into_iter();
            table.add_row(cells.chain(times.into_iter().chain([scratch]).map(Option::unwrap_or_default)));
        }
        table
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
        let mut table = table(Self::COLUMNS, usize::MAX);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            if Self::is_number(index) {
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

/// A table with this head, whose columns hold numbers from `first_number` on.
fn table(head: impl IntoIterator<Item = impl Into<Cell>>, first_number: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(head.into_iter().map(Into::into).collect::<Vec<Cell>>());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= first_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Description;
    use crate::bench::accuracy::Accuracy;
    use crate::bench::html;
    use crate::bench::scratch::Scratch;
    use crate::bench::shapes::BenchShape;
    use wgpu_batchnorm_report::Summary;

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
            growth: false,
            peers: Vec::new(),
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
        // Below the table a build without optimizations is warned of, as this one may be.
        let mut rows = text.lines().filter(|line| line.starts_with('│'));
        assert!(rows.all(|row| !row.contains('!')) && !text.contains("FAIL"), "{text}");
        Ok(())
    }

    #[test]
    fn growth_is_the_time_of_an_element_and_scratch_memory() -> Result<(), String> {
        let mut record = record(0.25, &[0.005])?;
        record.growth = true;
        // Of 2,048 elements in 8 KiB, so that 80 bytes are about a hundredth; the second shape is over it.
        let shapes: [BenchShape; 2] = ["8,16,4,4".parse()?, "4,16,4,4".parse()?];
        let row = |shape, pass| {
            let (config, time) = (Config::default(), Summary::of(&[0.001]));
            let row = Row::new((shape, Layout::ChannelsFirst), (&config, None), (pass, 3.0, time), 1e9);
            let tensor_bytes = 4.0 * row.elements();
            row.with_scratch(Some(Scratch::new(80, tensor_bytes)))
        };
        let passes = |shape| [Pass::Forward, Pass::Backward].map(|pass| row(shape, pass));
        record.rows = shapes.iter().flat_map(passes).collect();
        let text = written(&record);
        let lines: Vec<_> = text.lines().skip_while(|line| !line.starts_with("time per element")).collect();
        for parts in [["2.05 k", "488.281", "0.1 kB 1.0 %"], ["1.02 k", "976.562", "0.1 kB 2.0 % !"]] {
            assert!(
                lines.iter().any(|line| parts.iter().all(|part| line.contains(part))),
                "no {parts:?} in {text}"
            );
        }
        let page = html::page(&record).map_err(|error| error.to_string())?;
        for part in
            ["Time of an element over the number of elements", "Scratch memory over the number of elements"]
        {
            assert!(page.contains(part), "no {part:?}");
        }
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
