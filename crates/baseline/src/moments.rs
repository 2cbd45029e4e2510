//! Count, mean and sum of squared deviations of some values, and the merge of two such records.

/// `count` values with mean `mean` and `m2 = Σ(v − mean)²`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) count: usize,
    pub(crate) mean: f64,
    pub(crate) m2: f64,
}

impl Moments {
    /// The record of `count ≥ 1` values from `sum = Σ(v − shift)` and `squares = Σ(v − shift)²`.
    #[inline(always)]
    pub(crate) fn from_shifted(count: usize, shift: f32, sum: f32, squares: f32) -> Self {
        let delta = f64::from(sum) / count as f64;
        Self { count, mean: f64::from(shift) + delta, m2: f64::from(squares) - f64::from(sum) * delta }
    }

    /// The record of one value.
    pub(crate) fn of(value: f32) -> Self {
        Self { count: 1, mean: f64::from(value), m2: 0.0 }
    }

    /// The record of the values of both (Chan, Golub and LeVeque).
    #[inline(always)]
    pub(crate) fn merge(self, other: Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let count = self.count + other.count;
        let share = other.count as f64 / count as f64;
        let delta = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + delta * share,
            m2: self.m2 + other.m2 + delta * delta * self.count as f64 * share,
        }
    }

    /// The population variance, `m2 / count`.
    pub(crate) fn variance(&self) -> f64 {
        let variance = self.m2 / self.count as f64;
        // Rounding may leave a little less than nothing; NaN stays.
        if variance < 0.0 { 0.0 } else { variance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_records_are_those_of_all_values() {
        let values = [3.0f32, -1.0, 4.5, 0.25, 1e3];
        let merged = values.iter().fold(Moments::default(), |all, &v| all.merge(Moments::of(v)));
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 5.0;
        let m2 = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
        assert_eq!(merged.count, 5);
        assert!((merged.mean - mean).abs() < 1e-12 * mean);
        assert!((merged.m2 - m2).abs() < 1e-12 * m2);
    }

    #[test]
    fn an_empty_record_changes_nothing() {
        let record = Moments { count: 3, mean: 2.0, m2: 5.0 };
        assert_eq!(record.merge(Moments::default()), record);
        assert_eq!(Moments::default().merge(record), record);
    }
}
