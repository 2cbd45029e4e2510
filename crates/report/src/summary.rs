//! Many measurements in a few numbers.

use serde::{Deserialize, Serialize};

/// A spread beyond this makes a figure worth little.
pub const WORTHLESS_SPREAD: f64 = 0.25;

/// Milliseconds of one thing, measured several times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The median.
    pub median_ms: f64,
    /// The least.
    pub min_ms: f64,
    /// The largest.
    pub max_ms: f64,
    /// Difference of the quartiles over the median.
    pub spread: f64,
}

impl Summary {
    /// Of times in seconds; zeros if there are none.
    pub fn of(seconds: &[f64]) -> Self {
        let mut ms: Vec<_> = seconds.iter().map(|seconds| seconds * 1e3).collect();
        ms.sort_by(f64::total_cmp);
        let median_ms = quantile(&ms, 0.5);
        Self {
            median_ms,
            min_ms: quantile(&ms, 0.0),
            max_ms: quantile(&ms, 1.0),
            spread: if median_ms > 0.0 {
                (quantile(&ms, 0.75) - quantile(&ms, 0.25)) / median_ms
            } else {
                0.0
            },
        }
    }

    /// Whether the quartiles are so far apart that another run would give another figure.
    pub fn is_worthless(&self) -> bool {
        self.spread > WORTHLESS_SPREAD
    }
}

/// The median; sorts the values.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(values, 0.5)
}

/// The mean of factors; 0 if there are none.
pub fn geometric_mean(factors: &[f64]) -> f64 {
    if factors.is_empty() {
        return 0.0;
    }
    (factors.iter().map(|factor| factor.ln()).sum::<f64>() / factors.len() as f64).exp()
}

/// Between the two nearest of the sorted values; 0 if there are none.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let position = fraction * sorted.len().saturating_sub(1) as f64;
    let below = sorted.get(position.floor() as usize).copied().unwrap_or(0.0);
    let above = sorted.get(position.ceil() as usize).copied().unwrap_or(below);
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_up() {
        let summary = Summary::of(&[0.004, 0.001, 0.002, 0.005, 0.003]);
        assert_eq!((summary.median_ms, summary.min_ms, summary.max_ms), (3.0, 1.0, 5.0));
        assert!((summary.spread - 2.0 / 3.0).abs() < 1e-12 && summary.is_worthless());
        assert_eq!(Summary::of(&[]).median_ms, 0.0);
        assert_eq!(median(&mut [4.0, 1.0]), 2.5);
    }

    #[test]
    fn a_spread_beyond_a_quarter_is_worthless() {
        // Quartiles 0.9 and 1.1 of a median of 1, then 0.8 and 1.2.
        assert!(!Summary::of(&[0.8, 0.9, 1.0, 1.1, 1.2]).is_worthless());
        assert!(Summary::of(&[0.6, 0.8, 1.0, 1.2, 1.4]).is_worthless());
        // One outlier does not make the others worthless.
        assert!(!Summary::of(&[1.0, 1.0, 1.0, 1.0, 9.0]).is_worthless());
    }

    #[test]
    fn factors_are_averaged_as_factors() {
        assert!((geometric_mean(&[2.0, 8.0]) - 4.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), 0.0);
    }
}
