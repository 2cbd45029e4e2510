//! The verdict on a case, as a line and as JSON.

use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::{Case, Outputs, RunError, TensorVerdict, Verdict, judge};

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Passed,
    Failed,
    Skipped,
    /// It expects nothing.
    Computed,
}

/// The verdict on a case.
#[derive(Debug, Serialize)]
pub struct Report {
    case: String,
    path: String,
    verdict: Status,
    /// Why it failed or was skipped, or what was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The worst error over its bound.
    worst: Option<Worst>,
    /// The worst error over that of PyTorch's float32 result.
    worst_against_torch: Option<Worst>,
    tensors: Vec<TensorReport>,
    /// What a failure is printed with, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

/// The largest of the ratios of a case's tensors.
#[derive(Clone, Debug, Serialize)]
struct Worst {
    tensor: String,
    /// `null` in JSON if it is infinite.
    ratio: f64,
}

/// The verdict on a tensor. Numbers that are infinite are `null` in JSON.
#[derive(Debug, Serialize)]
struct TensorReport {
    name: String,
    passed: bool,
    error_over_bound: f64,
    max_abs_error: f64,
    torch_f32_error: Option<f64>,
    error_over_torch: Option<f64>,
    failure: Option<String>,
}

impl Report {
    /// A case that has no outputs.
    pub fn failed(path: &Path, reason: String) -> Self {
        Self::new(path, Status::Failed, Some(reason))
    }

    /// A case that this version does not compute.
    pub fn skipped(path: &Path, reason: String) -> Self {
        Self::new(path, Status::Skipped, Some(reason))
    }

    /// A case without expected values.
    pub fn computed(path: &Path, outputs: &Outputs, saved: Option<&Path>) -> Self {
        let names: Vec<_> = outputs.tensors.keys().map(String::as_str).collect();
        let saved = saved.map_or("not saved".to_owned(), |path| format!("saved in {}", path.display()));
        let reason = format!("no expected values; {} {saved}", names.join(", "));
        Self::new(path, Status::Computed, Some(reason))
    }

    /// The report on what [`run_case`](crate::run_case) returned for `case`, which is the one in the file at `path`.
    pub fn of(path: &Path, case: &Case, result: &Result<Outputs, RunError>) -> Self {
        match result {
            Err(RunError::Unsupported(reason) | RunError::Inapplicable(reason)) => {
                Self::skipped(path, reason.clone())
            }
            Err(RunError::Failed(error)) => Self::failed(path, error.to_string()),
            Ok(outputs) if case.is_judged() => Self::judged(path, &judge(case, outputs)),
            Ok(outputs) => Self::computed(path, outputs, None),
        }
    }

    /// A case whose outputs were compared with what it expects.
    pub fn judged(path: &Path, verdict: &Verdict) -> Self {
        let status = if verdict.passed() { Status::Passed } else { Status::Failed };
        let tensors = || verdict.tensors.iter();
        let failures = tensors().filter(|tensor| !tensor.passed()).map(ToString::to_string);
        let counters = verdict.counters.iter().filter(|counter| !counter.passed()).map(ToString::to_string);
        let torch = tensors().filter_map(|tensor| Some((tensor, tensor.torch_ratio()?)));
        Self {
            worst: worst(tensors().map(|tensor| (tensor, tensor.ratio()))),
            worst_against_torch: worst(torch),
            tensors: tensors().map(TensorReport::from).collect(),
            details: failures.chain(counters).collect(),
            ..Self::new(path, status, None)
        }
    }

    fn new(path: &Path, verdict: Status, reason: Option<String>) -> Self {
        Self {
            case: name_of(path),
            path: path.display().to_string(),
            verdict,
            reason,
            worst: None,
            worst_against_torch: None,
            tensors: Vec::new(),
            details: Vec::new(),
        }
    }

    /// Whether it passed, or was computed without anything to compare with.
    pub fn passed(&self) -> bool {
        matches!(self.verdict, Status::Passed | Status::Computed)
    }

    /// Writes the line of the case, its name padded to `width`, and those of what failed in it.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn write(&self, width: usize, out: &mut dyn Write) -> io::Result<()> {
        let verdict = match self.verdict {
            Status::Passed => "passed",
            Status::Failed => "FAILED",
            Status::Skipped => "skipped",
            Status::Computed => "computed",
        };
        write!(out, "{verdict:<8}  {:<width$}", self.case)?;
        if let Some(reason) = &self.reason {
            write!(out, "  {reason}")?;
        }
        if let Some(Worst { tensor, ratio }) = &self.worst {
            write!(out, "  {ratio:>6.3} of the bound ({tensor})")?;
        }
        if let Some(Worst { tensor, ratio }) = &self.worst_against_torch {
            write!(out, ", {ratio:.2} of PyTorch's float32 error ({tensor})")?;
        }
        writeln!(out)?;
        self.details.iter().try_for_each(|line| writeln!(out, "          {line}"))
    }
}

fn worst<'a>(ratios: impl Iterator<Item = (&'a TensorVerdict, f64)>) -> Option<Worst> {
    let (tensor, ratio) = ratios.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some(Worst { tensor: tensor.name.clone(), ratio })
}

impl From<&TensorVerdict> for TensorReport {
    fn from(verdict: &TensorVerdict) -> Self {
        Self {
            name: verdict.name.clone(),
            passed: verdict.passed(),
            error_over_bound: verdict.ratio(),
            max_abs_error: verdict.max_abs_error,
            torch_f32_error: verdict.torch_f32_error,
            error_over_torch: verdict.torch_ratio(),
            failure: verdict.failure.as_ref().map(ToString::to_string),
        }
    }
}

/// How many cases passed, failed and were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Also those that expect nothing.
    pub passed: usize,
    /// Those with an error beyond its bound, or without outputs.
    pub failed: usize,
    /// Those that this version does not compute, or that cannot be gone over in the way that was asked for.
    pub skipped: usize,
}

impl Tally {
    /// The count of these.
    pub fn of(reports: &[Report]) -> Self {
        let count =
            |wanted: &[Status]| reports.iter().filter(|report| wanted.contains(&report.verdict)).count();
        Self {
            passed: count(&[Status::Passed, Status::Computed]),
            failed: count(&[Status::Failed]),
            skipped: count(&[Status::Skipped]),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The name of the case in a file: the file's, without its extension.
pub fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
