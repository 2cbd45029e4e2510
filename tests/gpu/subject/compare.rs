//! Results against the reference.

use super::bounds::{Bounds, rounding};
use super::{EPSILON, Results, Setup, positions, rounded};
use wgpu_batchnorm::reference::{self, Backward, Forward, Moments};
use wgpu_batchnorm::{Activation, Momentum, Source};

impl Setup {
    /// Fails unless each result is within its bound, and what the mask hides is 0.
    pub(crate) fn compare(&self, results: &Results) -> Result<(), String> {
        let dtype = self.options.dtype;
        for values in [Some(&self.x), Some(&self.dy), self.residual.as_ref()].into_iter().flatten() {
            if super::bits(&rounded(dtype, values)) != super::bits(values) {
                return Err(format!("the inputs are no numbers of {dtype:?}: round them first"));
            }
        }
        let text = |error: reference::ReferenceError| error.to_string();
        let problem = self.problem();
        let forward = reference::forward(&problem, &self.x).map_err(text)?;
        let backward = reference::backward(&problem, &self.x, &self.dy).map_err(text)?;
        let channels = self.shape.channels();
        let bounds: Vec<Vec<Bounds>> = self
            .groups()
            .into_iter()
            .zip(&forward.groups)
            .map(|(samples, group)| {
                (0..channels).map(|c| Bounds::of(self, c, samples.clone(), group, &forward.z)).collect()
            })
            .collect();
        self.compare_tensors(results, &forward, &backward, &bounds)?;
        for c in 0..channels {
            let total = |bound: fn(&Bounds) -> f64| bounds.iter().map(|group| bound(&group[c])).sum::<f64>();
            let close = |what: &str, got: &[f32], expected: &[f64], bound: f64, relative: f64| {
                near(&format!("{what}[{c}]"), got[c], expected[c], bound + relative * expected[c].abs())
            };
            close("dbias", &results.dbias, &backward.dbias, total(|b| b.dbias), 0.0)?;
            close("dweight", &results.dweight, &backward.dweight, total(|b| b.dweight), 0.0)?;
            if let Some([dmean, dvariance]) = &results.dgiven {
                let relative = 6.0 * EPSILON;
                close("dmean", dmean, &backward.dmean, total(|b| b.dmean), relative)?;
                close("dvariance", dvariance, &backward.dvariance, total(|b| b.dvariance), relative)?;
            }
        }
        self.compare_statistics(results, &forward, &bounds)?;
        // Whatever normalizes, each group is an update of its own.
        let moments = reference::group_moments(&problem, &self.x).map_err(text)?;
        self.compare_running(results, &moments, &bounds)
    }

    fn compare_tensors(
        &self,
        results: &Results,
        forward: &Forward,
        backward: &Backward,
        bounds: &[Vec<Bounds>],
    ) -> Result<(), String> {
        let (relative, absolute) = rounding(self.options.dtype);
        let close = |what: &str, i: usize, got: f32, expected: f64, bound: f64, own: f64| {
            let rounded = absolute + relative.max(own) * expected.abs();
            near(&format!("{what}[{i}]"), got, expected, bound + rounded)
        };
        // The bound for y counts in units of what enters the activation. Of all activations only the sigmoid has
        // results that are larger than that, which no f32 holds more exactly than to half a unit in the last place.
        let own = if self.options.activation == Activation::Sigmoid { EPSILON } else { 0.0 };
        for (samples, bounds) in self.groups().into_iter().zip(bounds) {
            for (c, bounds) in bounds.iter().enumerate() {
                for (i, position) in positions(self.shape, c, samples.clone()) {
                    let dresidual = results.dresidual.as_ref().map(|dresidual| dresidual[i]);
                    if !self.is_shown(position) {
                        for (what, got) in [
                            ("y", results.y[i]),
                            ("dx", results.dx[i]),
                            ("dresidual", dresidual.unwrap_or(0.0)),
                        ] {
                            near(&format!("hidden {what}[{i}]"), got, 0.0, 0.0)?;
                        }
                        continue;
                    }
                    close("y", i, results.y[i], forward.y[i], bounds.y, own)?;
                    close("dx", i, results.dx[i], backward.dx[i], bounds.dx, 0.0)?;
                    if let Some(got) = dresidual {
                        let expected = backward.dresidual[i];
                        close("dresidual", i, got, expected, bounds.dresidual, 2.0 * EPSILON)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What was saved: of each group that the batch's statistics normalize.
    fn compare_statistics(
        &self,
        results: &Results,
        forward: &Forward,
        bounds: &[Vec<Bounds>],
    ) -> Result<(), String> {
        if self.mode.source != Source::Batch {
            return Ok(());
        }
        if results.groups.len() != forward.groups.len() {
            return Err(format!("{} groups, expected {}", results.groups.len(), forward.groups.len()));
        }
        for (g, (got, expected)) in results.groups.iter().zip(&forward.groups).enumerate() {
            let count = expected.moments.as_ref().map_or(0, |moments| moments.count);
            near(&format!("count of group {g}"), got.count, count as f64, EPSILON * count as f64)?;
            for (c, bounds) in bounds[g].iter().enumerate() {
                let (mean, variance) = (expected.statistics.mean[c], expected.statistics.variance[c]);
                let Bounds { mean: mean_bound, variance: variance_bound, .. } = *bounds;
                let mean_bound = mean_bound + 2.0 * EPSILON * mean.abs();
                near(&format!("mean[{c}] of group {g}"), got.mean[c], mean, mean_bound)?;
                let variance_bound = variance_bound + 2e-6 * variance;
                near(&format!("variance[{c}] of group {g}"), got.var[c], variance, variance_bound)?;
            }
        }
        Ok(())
    }

    /// One update for each group in order; the bound grows with each.
    fn compare_running(
        &self,
        results: &Results,
        moments: &[Moments],
        bounds: &[Vec<Bounds>],
    ) -> Result<(), String> {
        let Some(running) = &results.running else { return Ok(()) };
        let channels = self.shape.channels();
        let mut tracked = self.running.num_batches_tracked;
        let mut skipped = self.running.num_batches_skipped;
        // Value and bound.
        let exact = |values: &[f32]| values.iter().map(|&v| (f64::from(v), 0.0)).collect::<Vec<(f64, f64)>>();
        let (mut means, mut vars) = (exact(&self.running.mean), exact(&self.running.var));
        let updates = if self.mode.update { moments } else { &[] };
        for (moments, bounds) in updates.iter().zip(bounds) {
            let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
            let refused = self.options.guarded && !(finite(&moments.mean) && finite(&moments.m2));
            if moments.count < 2 || refused {
                skipped += 1;
                continue;
            }
            let take = match self.options.momentum {
                Momentum::MovingAverage(momentum) => momentum,
                Momentum::Cumulative => reference::cumulative_factor(tracked.into()),
            };
            let unbiased = moments.count as f64 / (moments.count - 1) as f64;
            for c in 0..channels {
                let blend = |(old, bound): (f64, f64), new: f64, error: f64| {
                    let (old, new) = ((1.0 - take) * old, take * new);
                    let bound = (1.0 - take) * bound + 4.0 * EPSILON * (old.abs() + new.abs()) + take * error;
                    (old + new, bound)
                };
                let (mean, variance) = (moments.mean[c], moments.m2[c] / (moments.count - 1) as f64);
                let Bounds { mean: mean_bound, variance: variance_bound, .. } = bounds[c];
                means[c] = blend(means[c], mean, mean_bound);
                vars[c] = blend(vars[c], variance, 2e-6 * variance + unbiased * variance_bound);
            }
            tracked += 1;
        }
        for c in 0..channels {
            near(&format!("running_mean[{c}]"), running.mean[c], means[c].0, means[c].1)?;
            near(&format!("running_var[{c}]"), running.var[c], vars[c].0, vars[c].1)?;
        }
        let counts = [running.num_batches_tracked, running.num_batches_skipped];
        if counts == [tracked, skipped] {
            return Ok(());
        }
        Err(format!("batches tracked and skipped are {counts:?}, expected {:?}", [tracked, skipped]))
    }
}

/// Fails unless `got` is within `bound` of `expected`, both finite, or both are not.
pub(crate) fn near(what: &str, got: f32, expected: f64, bound: f64) -> Result<(), String> {
    let error = (f64::from(got) - expected).abs();
    let passes = if expected.is_finite() { error <= bound } else { !got.is_finite() };
    if passes {
        return Ok(());
    }
    Err(format!("{what} is {got}, expected {expected}: error {error:e}, bound {bound:e}"))
}

/// [`near`] for each value, with one bound for all.
pub(crate) fn near_all(what: &str, got: &[f32], expected: &[f64], bound: f64) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{what} has {} values, expected {}", got.len(), expected.len()));
    }
    let mut pairs = got.iter().zip(expected).enumerate();
    pairs.try_for_each(|(i, (&got, &expected))| near(&format!("{what}[{i}]"), got, expected, bound))
}
