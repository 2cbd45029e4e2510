//! One row of the table.

use super::accuracy::Accuracy;
use super::shapes::{BenchShape, layout_name};
use super::summary::Summary;
use serde::Serialize;
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
    pub(crate) fn name(self) -> String {
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
    pub(crate) layout: &'static str,
    dtype: &'static str,
    /// How many layers of the network have the shape.
    pub(crate) layers: usize,
    pub(crate) pass: Pass,
    /// Reads and writes of the full tensor.
    moves: f64,
    /// Moves times the bytes of the tensor.
    bytes: f64,
    pub(crate) time: Summary,
    bytes_per_second: f64,
    /// Of the copy kernel's bytes per second.
    share_of_copy: f64,
    /// The CPU baseline.
    cpu: Option<Summary>,
    /// Its time over ours.
    pub(crate) speed_up: Option<f64>,
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

    pub(crate) fn failed(&self) -> bool {
        self.accuracy.is_some_and(|accuracy| !accuracy.passed)
    }

    pub(crate) fn is_worthless(&self) -> bool {
        self.time.is_worthless() || self.cpu.is_some_and(|cpu| cpu.is_worthless())
    }

    pub(crate) fn cells(&self) -> [String; 10] {
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

/// The median, half the distance of the quartiles, and a mark if that makes the figure worthless.
fn milliseconds(time: &Summary) -> String {
    let decimals = if time.median_ms < 1.0 { 4 } else { 2 };
    let mark = if time.is_worthless() { " !" } else { "" };
    format!("{:.decimals$} ± {:.0} %{mark}", time.median_ms, time.spread * 50.0)
}
