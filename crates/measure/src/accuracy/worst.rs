//! The verdict on the results of a pass: the largest error in units of its bound.

use serde::Serialize;
use std::fmt;

/// The worst of the results of one pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// Its largest error, in units of its bound; infinite (in JSON `null`) if it is no number.
    pub error_over_bound: f64,
    /// Which result that is.
    pub result: &'static str,
    /// Whether it is within its bound.
    pub passed: bool,
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error_over_bound, result, passed } = self;
        let verdict = if *passed { "ok" } else { "ACCURACY FAIL" };
        write!(f, "{verdict} {error_over_bound:.2} ({result})")
    }
}

/// The largest error over its bound so far, and whose it is.
#[derive(Default)]
pub struct Worst(Option<(f64, &'static str)>);

impl Worst {
    /// Compares a result, whose bound at an index is `bound`; one that is incomplete is infinitely wrong.
    pub fn compare(
        &mut self,
        result: &'static str,
        expected: &[f64],
        got: &[f32],
        bound: impl Fn(usize) -> f64,
    ) {
        if expected.len() != got.len() {
            self.include(result, f64::INFINITY, 0.0);
        }
        for (i, (expected, got)) in expected.iter().zip(got).enumerate() {
            self.include(result, (f64::from(*got) - expected).abs(), bound(i));
        }
    }

    fn include(&mut self, result: &'static str, error: f64, bound: f64) {
        let ratio = match error / bound {
            _ if error == 0.0 => 0.0,
            ratio if ratio.is_nan() => f64::INFINITY,
            ratio => ratio,
        };
        if self.0.is_none_or(|(worst, _)| ratio > worst) {
            self.0 = Some((ratio, result));
        }
    }
}

impl From<Worst> for Accuracy {
    fn from(Worst(worst): Worst) -> Self {
        let (error_over_bound, result) = worst.unwrap_or((f64::INFINITY, "nothing was compared"));
        Self { error_over_bound, result, passed: error_over_bound <= 1.0 }
    }
}
