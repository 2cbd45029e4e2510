//! Rows, the table and the JSON record.

use super::accuracy::Accuracy;
use super::shapes::{BenchShape, layout_name};
use super::summary::{Summary, WORTHLESS_SPREAD, geometric_mean};
use super::timer::Clock;
use crate::environment::Environment;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::io::{self, Write};
use wgpu_batchnorm::Layout;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pass {
    /// The copy kernel: the limit.
    Copy,
    /// Forward in training.
    Forward,
    /// Forward in evaluation.
    Evaluation,
    /// Backward in training.
    Backward,
    /// One step of those, by its stem.
    Step(&'static str),
}

impl Pass {
    fn name(self) -> String {
        match self {
            Self::Copy => "copy".to_owned(),
            Self::Forward => "forward".to_owned(),
            Self::Evaluation => "forward (eval)".to_owned(),
            Self::Backward => "backward".to_owned(),
            Self::Step(stem) => format!("· {stem}"),
        }
    }
}

/// One measurement and all that it is compared with.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    shape: String,
    /// In memory order.
    sizes: Vec<usize>,
    layout: &'static str,
    dtype: &'static str,
    /// How many layers of the network have the shape.
    layers: usize,
    pass: Pass,
    /// Reads and writes of the full tensor.
    moves: f64,
    /// Moves times the bytes of the tensor.
    bytes: f64,
    time: Summary,
    bytes_per_second: f64,
    /// Of the copy kernel's bytes per second.
    share_of_copy: f64,
    /// The CPU baseline.
    cpu: Option<Summary>,
    /// Its time over ours.
    speed_up: Option<f64>,
    accuracy: Option<Accuracy>,
}

impl Row {
    /// A row of a pass with `moves` moves that takes `time`, where the best copy kernel takes `copy`.
    pub(crate) fn new(
        shape: &BenchShape,
        layout: Layout,
        pass: Pass,
        moves: f64,
        time: Summary,
        copy: &Summary,
    ) -> Self {
        let sizes = shape.sizes_in(layout);
        let tensor = sizes.iter().product::<usize>() as f64 * size_of::<f32>() as f64;
        Self {
            shape: shape.to_string(),
            sizes,
            layout: layout_name(layout),
            dtype: "f32",
            layers: shape.layers,
            pass,
            moves,
            bytes: moves * tensor,
            time,
            bytes_per_second: moves * tensor / (time.median_ms * 1e-3),
            share_of_copy: moves / 2.0 * copy.median_ms / time.median_ms,
            cpu: None,
            speed_up: None,
            accuracy: None,
        }
    }

    /// The row with the time of the CPU baseline, and how right the results are.
    pub(crate) fn compared(self, cpu: Summary, accuracy: Accuracy) -> Self {
        let speed_up = Some(cpu.median_ms / self.time.median_ms);
        Self { cpu: Some(cpu), speed_up, accuracy: Some(accuracy), ..self }
    }

    fn failed(&self) -> bool {
        self.accuracy.is_some_and(|accuracy| !accuracy.passed)
    }

    fn is_worthless(&self) -> bool {
        self.time.is_worthless() || self.cpu.is_some_and(|cpu| cpu.is_worthless())
    }

    fn cells(&self) -> [String; 10] {
        let bytes = |text: String| if self.moves > 0.0 { text } else { String::new() };
        [
            self.shape.clone(),
            self.layout.to_owned(),
            self.pass.name(),
            milliseconds(&self.time),
            bytes(format!("{:.1}", self.bytes_per_second * 1e-9)),
            bytes(format!("{:.0} %", self.share_of_copy * 100.0)),
            bytes(format!("{:.1}", self.moves)),
            self.cpu.as_ref().map(milliseconds).unwrap_or_default(),
            self.speed_up.map(|speed_up| format!("{speed_up:.2}×")).unwrap_or_default(),
            self.accuracy.map(|accuracy| accuracy.to_string()).unwrap_or_default(),
        ]
    }
}

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
    pub(crate) repetitions: usize,
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
        self.write_networks(out)?;
        for pass in [Pass::Forward, Pass::Evaluation, Pass::Backward] {
            let rows = self.rows.iter().filter(|row| row.pass == pass);
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

    /// What all layers of a network take together, where the shapes are those of one.
    fn write_networks(&self, out: &mut dyn Write) -> io::Result<()> {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast].map(layout_name) {
            let of = |pass| self.rows.iter().filter(move |row| row.layout == layout && row.pass == pass);
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
            "shape", "layout", "pass", "ms", "GB/s", "of copy", "moves", "CPU ms", "speed-up", "accuracy",
        ]);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        for column in 3..=8 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }
}

/// The median, half the distance of the quartiles, and a mark if that makes the figure worthless.
fn milliseconds(time: &Summary) -> String {
    let decimals = if time.median_ms < 1.0 { 4 } else { 2 };
    let mark = if time.is_worthless() { " !" } else { "" };
    format!("{:.decimals$} ± {:.0} %{mark}", time.median_ms, time.spread * 50.0)
}
