//! One row of the table.

use super::accuracy::Accuracy;
use super::compare::Compared;
use super::config::{Config, Function, Origin, Place};
use super::scratch::Scratch;
use super::shapes::{BenchShape, layout_name};
use super::turns::Turns;
use serde::Serialize;
use wgpu_batchnorm::{Layout, Plan, Traversal};
use wgpu_batchnorm_report::peer::Subject;
use wgpu_batchnorm_report::{Summary, unit};

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
    /// Mean and variance alone.
    Statistics,
    /// The gradient of mean and variance.
    MomentsBackward,
    /// The folded form.
    Fold,
    /// The gradient of the backward pass.
    DoubleBackward,
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
            Self::Statistics => "statistics only".to_owned(),
            Self::MomentsBackward => "moments gradient".to_owned(),
            Self::Fold => "folded form".to_owned(),
            Self::DoubleBackward => "double backward".to_owned(),
            Self::Step(stem) => format!("· {stem}"),
        }
    }
}

/// How a pass was planned.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Planned {
    /// If there was a choice.
    traversal: Option<&'static str>,
    /// Reads of the full tensor that a cache is to serve.
    rereads: f64,
    dispatches: usize,
}

impl Planned {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            traversal: plan.traversal().map(Traversal::name),
            rereads: plan.rereads(),
            dispatches: plan.dispatches().len(),
        }
    }
}

/// One measurement and all that it is compared with.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) shape: String,
    /// N, C and the spatial sizes.
    #[serde(skip)]
    shape_sizes: Vec<usize>,
    /// In memory order.
    sizes: Vec<usize>,
    pub(crate) layout: &'static str,
    #[serde(flatten)]
    config: Config,
    /// What `--features` varies in this row.
    pub(crate) feature: Option<&'static str>,
    /// How many layers of the network have the shape.
    pub(crate) layers: usize,
    pub(crate) pass: Pass,
    /// Reads and writes of the full tensor.
    moves: f64,
    #[serde(flatten)]
    planned: Option<Planned>,
    /// Moves times the bytes of the tensor.
    pub(crate) bytes: f64,
    pub(crate) time: Summary,
    /// The time over the elements of the tensor.
    pub(crate) ns_per_element: f64,
    pub(crate) bytes_per_second: f64,
    /// Of the copy kernel's bytes per second: the fraction of the limit.
    pub(crate) share_of_copy: f64,
    /// The CPU baseline.
    pub(crate) cpu: Option<Summary>,
    /// Its time over ours.
    pub(crate) speed_up: Option<f64>,
    accuracy: Option<Accuracy>,
    /// Of a whole pass.
    #[serde(flatten)]
    pub(crate) scratch: Option<Scratch>,
    /// Where sets of tensors take turns, or could.
    pub(crate) turns: Option<Turns>,
    /// What peers take for the same.
    pub(crate) peers: Vec<Compared>,
}

impl Row {
    /// A row of `tensor_bytes` a move, where the best copy kernel makes `copy_rate` bytes a second.
    pub(crate) fn new(
        (shape, layout): (&BenchShape, Layout),
        (config, feature): (&Config, Option<&'static str>),
        (pass, moves, time): (Pass, f64, Summary),
        copy_rate: f64,
    ) -> Self {
        let sizes = shape.sizes_in(layout);
        let bytes = moves * sizes.iter().product::<usize>() as f64 * config.dtype().bytes() as f64;
        let bytes_per_second = bytes / (time.median_ms * 1e-3);
        let ns_per_element = time.median_ms * 1e6 / sizes.iter().product::<usize>() as f64;
        Self {
            shape: shape.to_string(),
            shape_sizes: shape.sizes.clone(),
            sizes,
            layout: layout_name(layout),
            config: *config,
            feature,
            layers: shape.layers,
            pass,
            moves,
            planned: None,
            bytes,
            time,
            ns_per_element,
            bytes_per_second,
            share_of_copy: bytes_per_second / copy_rate,
            cpu: None,
            speed_up: None,
            accuracy: None,
            scratch: None,
            turns: None,
            peers: Vec::new(),
        }
    }

    pub(crate) fn elements(&self) -> f64 {
        self.sizes.iter().product::<usize>() as f64
    }

    /// What peers would have to measure to be compared with this row, if they can.
    pub(crate) fn subject(&self) -> Option<Subject> {
        let Config { dtype, activation, order, residual, mask, ghost, guarded, source, synchronized } =
            self.config;
        let is_known = order == Place::Post && source == Origin::Batch && ghost.is_none();
        if !is_known || mask || guarded || synchronized {
            return None;
        }
        let pass = match self.pass {
            Pass::Forward => "forward",
            Pass::Evaluation => "forward_eval",
            Pass::Backward => "backward",
            _ => return None,
        };
        let activation = match activation {
            Function::None => "none",
            Function::Relu => "relu",
            _ => return None,
        };
        Some(Subject {
            shape: self.shape_sizes.clone(),
            layout: self.layout.replace('-', "_"),
            pass: pass.to_owned(),
            dtype: dtype.name().to_owned(),
            activation: activation.to_owned(),
            residual,
        })
    }

    /// The time of a peer, and how many times as long as ours that is.
    pub(crate) fn peer_cell(&self, name: &str) -> String {
        let compared = self.peers.iter().find(|compared| compared.peer == name);
        let cell = compared.map(|Compared { median_ms, ratio, worthless, .. }| {
            let mark = if *worthless { " !" } else { "" };
            format!("{} {}{mark}", unit::digits(*median_ms), unit::factor(*ratio))
        });
        cell.unwrap_or_default()
    }

    pub(crate) fn with_plan(self, planned: Option<Planned>) -> Self {
        Self { planned, ..self }
    }

    /// The moves, those that a cache is to serve, and the traversal.
    fn moves(&self) -> String {
        let Some(Planned { traversal, rereads, .. }) = self.planned else {
            return format!("{:.1}", self.moves);
        };
        let reread = if rereads > 0.0 { format!(" + {rereads:.1}") } else { String::new() };
        format!("{}{:.1}{reread}", traversal.map_or_else(String::new, |name| format!("{name} ")), self.moves)
    }

    pub(crate) fn with_scratch(self, scratch: Option<Scratch>) -> Self {
        Self { scratch, ..self }
    }

    pub(crate) fn in_turns(self, turns: Option<Turns>) -> Self {
        Self { turns, ..self }
    }

    /// The row with how right the results are, if they were checked.
    pub(crate) fn checked(self, accuracy: Option<Accuracy>) -> Self {
        Self { accuracy, ..self }
    }

    /// The row with the time of the CPU baseline, if that can do the same.
    pub(crate) fn compared(self, cpu: Option<Summary>) -> Self {
        let speed_up = cpu.map(|cpu| cpu.median_ms / self.time.median_ms);
        Self { cpu, speed_up, ..self }
    }

    /// Whether this is one of the rows that every run has.
    pub(crate) fn is_plain(&self, pass: Pass) -> bool {
        self.pass == pass && self.feature.is_none()
    }

    pub(crate) fn name(&self) -> String {
        match (self.feature, self.pass) {
            (Some(feature), Pass::Forward | Pass::Backward) => format!("{feature}: {}", self.pass.name()),
            // The others name what is varied, or stand below a row that does.
            _ => self.pass.name(),
        }
    }

    pub(crate) fn failed(&self) -> bool {
        self.accuracy.is_some_and(|accuracy| !accuracy.passed)
    }

    pub(crate) fn is_worthless(&self) -> bool {
        self.time.is_worthless() || self.cpu.is_some_and(|cpu| cpu.is_worthless())
    }

    pub(crate) fn cells(&self) -> [String; 12] {
        let bytes = |text: String| if self.moves > 0.0 { text } else { String::new() };
        [
            self.shape.clone(),
            self.layout.to_owned(),
            self.name(),
            milliseconds(&self.time),
            bytes(format!("{:.1}", self.bytes_per_second * 1e-9)),
            bytes(format!("{:.0} %", self.share_of_copy * 100.0)),
            bytes(self.moves()),
            bytes(format!("{:.1}", self.bytes * 1e-6)),
            self.scratch.map(|scratch| scratch.to_string()).unwrap_or_default(),
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
