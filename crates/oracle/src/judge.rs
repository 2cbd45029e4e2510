//! Comparing outputs with what is expected of them.

use std::fmt;

use thiserror::Error;

use crate::{Case, Expected, Output, Outputs};

/// The judgement on the outputs of one case.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Verdict {
    /// The case's name.
    pub case: String,
    /// One verdict for each expected tensor, in the order of their names.
    pub tensors: Vec<TensorVerdict>,
    /// The verdicts on the numbers of batches that the case expects: tracked, and skipped.
    pub counters: Vec<CounterVerdict>,
}

/// The judgement on one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorVerdict {
    /// The output's name.
    pub name: String,
    /// Why it does not pass; `None` if it passes.
    pub failure: Option<Failure>,
    /// The element with the largest ratio of error to bound; `None` if no element was compared.
    pub worst: Option<Worst>,
    /// The largest absolute error; infinite where a number is expected and none came, or the reverse.
    pub max_abs_error: f64,
    /// The largest absolute error of PyTorch's float32 result on the same inputs, where it is known.
    pub torch_f32_error: Option<f64>,
}

/// The element furthest out, in units of its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// Its position in memory, in elements.
    pub index: usize,
    /// The value computed.
    pub got: f64,
    /// The value expected.
    pub expected: f64,
    /// The largest absolute error that passes here.
    pub bound: f64,
    /// The absolute error divided by the bound: passes up to 1. No error is 0, whatever the bound.
    pub ratio: f64,
}

/// Why a tensor does not pass.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// There is no output of that name.
    #[error("no such output was computed")]
    Missing,
    /// The output has another shape.
    #[error("shape {actual:?}, expected {expected:?}")]
    Shape {
        /// The output's shape.
        actual: Vec<usize>,
        /// The shape expected.
        expected: Vec<usize>,
    },
    /// The output has more or fewer values than its shape says.
    #[error("{actual} values, expected {expected}")]
    Length {
        /// How many values it has.
        actual: usize,
        /// How many are expected.
        expected: usize,
    },
    /// Elements are further from the expected value than their bound, or are NaN or infinite where a
    /// number is expected, or the reverse.
    #[error("{failed} of {total} elements out of bounds")]
    OutOfBounds {
        /// How many elements do not pass.
        failed: usize,
        /// How many there are.
        total: usize,
    },
}

/// The judgement on a number of batches, which must be met exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterVerdict {
    /// Its name: `num_batches_tracked` or `num_batches_skipped`.
    pub name: &'static str,
    /// The count expected.
    pub expected: u64,
    /// The count computed, if any.
    pub got: Option<u64>,
}

/// Judges `outputs` by what `case` expects: every expected tensor must be there, in its shape, each
/// element within its bound. Outputs that the case does not expect are not looked at.
pub fn judge(case: &Case, outputs: &Outputs) -> Verdict {
    let tensors =
        case.expected.iter().map(|(name, expected)| judge_tensor(name, expected, outputs.tensors.get(name)));
    let counters = [
        ("num_batches_tracked", case.expected_num_batches_tracked, outputs.num_batches_tracked),
        ("num_batches_skipped", case.expected_num_batches_skipped, outputs.num_batches_skipped),
    ];
    let counters = counters
        .into_iter()
        .filter_map(|(name, expected, got)| Some(CounterVerdict { name, expected: expected?, got }));
    Verdict { case: case.name.clone(), tensors: tensors.collect(), counters: counters.collect() }
}

fn judge_tensor(name: &str, expected: &Expected, output: Option<&Output>) -> TensorVerdict {
    let mut verdict = TensorVerdict {
        name: name.to_owned(),
        failure: None,
        worst: None,
        max_abs_error: 0.0,
        torch_f32_error: expected.torch_f32_error,
    };
    // Shapes first: `zip` below would silently ignore what one side has too many of.
    let total = expected.values.len();
    let values = match output {
        None => {
            verdict.failure = Some(Failure::Missing);
            return verdict;
        }
        Some(Output { shape, .. }) if *shape != expected.shape => {
            verdict.failure =
                Some(Failure::Shape { actual: shape.clone(), expected: expected.shape.clone() });
            return verdict;
        }
        Some(Output { values, .. }) if values.len() != total => {
            verdict.failure = Some(Failure::Length { actual: values.len(), expected: total });
            return verdict;
        }
        Some(Output { values, .. }) => values,
    };
    let mut failed = 0;
    for (index, (&got, &wanted)) in values.iter().zip(&expected.values).enumerate() {
        let got = f64::from(got);
        let error = match (got.is_finite(), wanted.is_finite()) {
            (true, true) => (got - wanted).abs(),
            (false, false) => 0.0,
            _ => f64::INFINITY,
        };
        let bound = expected.bound(index);
        // The comparison that decides; the ratio is rounded and only reported. An infinite bound must
        // not excuse a value that is no number.
        if error > bound || error.is_infinite() {
            failed += 1;
        }
        let ratio = ratio(error, bound);
        verdict.max_abs_error = verdict.max_abs_error.max(error);
        if verdict.worst.is_none_or(|worst| ratio > worst.ratio) {
            verdict.worst = Some(Worst { index, got, expected: wanted, bound, ratio });
        }
    }
    verdict.failure = (failed > 0).then_some(Failure::OutOfBounds { failed, total });
    verdict
}

/// `error / bound`, where no error is 0 times any bound, and an infinite one infinitely many.
fn ratio(error: f64, bound: f64) -> f64 {
    if error == 0.0 {
        0.0
    } else if error.is_infinite() {
        f64::INFINITY
    } else {
        error / bound
    }
}

impl Verdict {
    /// Whether every expected tensor and counter passes; true if nothing is expected.
    pub fn passed(&self) -> bool {
        self.tensors.iter().all(TensorVerdict::passed) && self.counters.iter().all(CounterVerdict::passed)
    }

    /// The tensor that fails, or comes closest to it: the one with the largest [`TensorVerdict::ratio`].
    pub fn worst(&self) -> Option<&TensorVerdict> {
        self.tensors.iter().max_by(|a, b| a.ratio().total_cmp(&b.ratio()))
    }
}

impl TensorVerdict {
    /// Whether the tensor passes.
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }

    /// The largest ratio of error to bound; infinite if the tensor could not be compared at all.
    pub fn ratio(&self) -> f64 {
        match (&self.failure, &self.worst) {
            (None | Some(Failure::OutOfBounds { .. }), worst) => worst.map_or(0.0, |worst| worst.ratio),
            (Some(_), _) => f64::INFINITY,
        }
    }

    /// The largest absolute error divided by that of PyTorch's float32 result, where it is known.
    pub fn torch_ratio(&self) -> Option<f64> {
        self.torch_f32_error.map(|torch| ratio(self.max_abs_error, torch))
    }
}

impl CounterVerdict {
    /// Whether the count is the one expected.
    pub fn passed(&self) -> bool {
        self.got == Some(self.expected)
    }
}

impl fmt::Display for Verdict {
    /// One line for the case, then one for each tensor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, if self.passed() { "passed" } else { "FAILED" })?;
        for tensor in &self.tensors {
            write!(f, "\n  {tensor}")?;
        }
        self.counters.iter().try_for_each(|counter| write!(f, "\n  {counter}"))
    }
}

impl fmt::Display for CounterVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, expected, got } = self;
        let verdict = if self.passed() { "ok" } else { "FAILED" };
        match got {
            Some(got) => write!(f, "{name}: {verdict}, got {got}, expected {expected}"),
            None => write!(f, "{name}: {verdict}, none, expected {expected}"),
        }
    }
}

impl fmt::Display for TensorVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.failure {
            None => write!(f, "ok")?,
            Some(failure) => write!(f, "FAILED, {failure}")?,
        }
        if let Some(Worst { index, got, expected, bound, ratio }) = self.worst {
            write!(
                f,
                ", error/bound {ratio:.3} at {index}: got {got:e}, expected {expected:e} ± {bound:.2e}"
            )?;
        }
        self.torch_ratio().map_or(Ok(()), |ratio| write!(f, ", error/torch {ratio:.2}"))
    }
}
