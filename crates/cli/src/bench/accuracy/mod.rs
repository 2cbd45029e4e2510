//! Whether results are right: each is compared with the f64 reference, by the bounds of the oracle cases.
//!
//! With ε = 2⁻²⁴, m = N·S, and maxima and sums over one channel, a result may be off by
//!
//! | result | bound |
//! |---|---|
//! | y | 16ε·(max│γ·x̂│ + │β│) |
//! | batch mean | 8ε·σ + 2ε·│mean│ |
//! | batch variance | 2·10⁻⁶·variance |
//! | running mean | 8ε·σ + 4ε·(│before│ + │batch mean│) |
//! | running variance | 4·10⁻⁶·(before + batch variance) |
//! | dweight | 8ε·(Σ│dy·x̂│ + Σ│dy│) |
//! | dbias | 8ε·Σ│dy│ |
//! | dx | 32ε·│γ│/σ·(max│dy│ + Σ│dy│/m + max│x̂│·Σ│dy·x̂│/m) |
//!
//! Of a tensor with more than [`MOST_ELEMENTS`] elements some channels are checked, in full, because the
//! reference takes minutes for the others: the first, the last, and as many evenly between them as fit.

#[cfg(test)]
mod tests;
mod worst;

pub(crate) use worst::Accuracy;

use super::data::{Data, channel_of};
use std::borrow::Cow;
use wgpu_batchnorm::reference::{self, Parameters, Problem, ReferenceError, Running, Source, Statistics};
use wgpu_batchnorm::{BatchStatistics, Layout, RunningValues, Shape};
use worst::Worst;

/// The most elements that are compared with the reference.
const MOST_ELEMENTS: usize = 1 << 25;
const EPSILON: f64 = 1.0 / (1 << 24) as f64;
/// Of the library's default options.
pub(crate) const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// The inputs as far as they are checked.
pub(crate) struct Judge<'a> {
    /// Of all channels.
    whole: Shape,
    channels: Vec<usize>,
    /// Of the checked ones.
    shape: Shape,
    x: Cow<'a, [f32]>,
    dy: Cow<'a, [f32]>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    running: RunningValues,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(data: &'a Data) -> anyhow::Result<Self> {
        Self::with_limit(data, MOST_ELEMENTS)
    }

    fn with_limit(data: &'a Data, most_elements: usize) -> anyhow::Result<Self> {
        let whole = data.shape;
        let all = whole.channels();
        let count = (most_elements / whole.values_per_channel()).clamp(1, all);
        let gaps = (count - 1).max(1);
        let channels: Vec<_> = (0..count).map(|i| i * (all - 1) / gaps).collect();
        let shape = if count == all {
            whole
        } else {
            Shape::new(&[whole.samples(), count, whole.spatial()], Layout::ChannelsFirst)?
        };
        let pick = |values: &[f32]| channels.iter().map(|&channel| values[channel]).collect::<Vec<_>>();
        let RunningValues { mean, var, num_batches_tracked, .. } = &data.running;
        let running = RunningValues::new(pick(mean), pick(var), *num_batches_tracked);
        let (weight, bias) = (pick(&data.weight), pick(&data.bias));
        let mut judge =
            Self { whole, channels, shape, x: (&[]).into(), dy: (&[]).into(), weight, bias, running };
        judge.x = judge.gather(&data.x);
        judge.dy = judge.gather(&data.dy);
        Ok(judge)
    }

    /// The number of channels that are checked, if these are not all.
    pub(crate) fn subset(&self) -> Option<usize> {
        (self.shape != self.whole).then_some(self.channels.len())
    }

    /// Judges what a forward pass in training leaves.
    pub(crate) fn forward(
        &self,
        y: &[f32],
        batch: &BatchStatistics,
        running: &RunningValues,
    ) -> Result<Accuracy, ReferenceError> {
        let expected = reference::forward(&self.problem(Source::Batch), &self.x)?;
        let moments = reference::statistics(&self.x, &self.shape.into())?;
        let statistics = reference::finalize(&moments, EPS);
        let Statistics { mean, variance, inverse_sigma, .. } = &statistics;
        let before = Running { mean: widened(&self.running.mean), variance: widened(&self.running.var) };
        let after = reference::running_stats(&before, &moments, MOMENTUM)?;
        let sigma = |c: usize| 1.0 / inverse_sigma[c];
        let mut worst = Worst::default();
        worst.full("y", &expected.y, &self.gather(y), &self.shape, &self.y_bounds(&statistics));
        worst.channels("batch_mean", mean, &self.pick(&batch.mean), |c| {
            EPSILON * (8.0 * sigma(c) + 2.0 * mean[c].abs())
        });
        worst.channels("batch_var", variance, &self.pick(&batch.var), |c| 2e-6 * variance[c]);
        worst.channels("running_mean", &after.mean, &self.pick(&running.mean), |c| {
            EPSILON * (8.0 * sigma(c) + 4.0 * (before.mean[c].abs() + mean[c].abs()))
        });
        worst.channels("running_var", &after.variance, &self.pick(&running.var), |c| {
            4e-6 * (before.variance[c] + variance[c])
        });
        let counted = self.running.num_batches_tracked + 1;
        worst.include("num_batches_tracked", (running.num_batches_tracked != counted).into(), 0.0);
        Ok(worst.into())
    }

    /// Judges y of a forward pass in evaluation.
    pub(crate) fn evaluation(&self, y: &[f32]) -> Result<Accuracy, ReferenceError> {
        let source = Source::Held { mean: &self.running.mean, variance: &self.running.var };
        let expected = reference::forward(&self.problem(source), &self.x)?;
        let statistics = Statistics::held(widened(&self.running.mean), widened(&self.running.var), EPS);
        let mut worst = Worst::default();
        worst.full("y", &expected.y, &self.gather(y), &self.shape, &self.y_bounds(&statistics));
        Ok(worst.into())
    }

    /// Judges the gradients of a forward pass in training.
    pub(crate) fn backward(
        &self,
        dx: &[f32],
        dweight: &[f32],
        dbias: &[f32],
    ) -> Result<Accuracy, ReferenceError> {
        let expected = reference::backward(&self.problem(Source::Batch), &self.x, &self.dy)?;
        let statistics = reference::finalize(&reference::statistics(&self.x, &self.shape.into())?, EPS);
        let scales = self.scales(&statistics);
        let count = self.shape.values_per_channel() as f64;
        let dx_bounds = scales.iter().enumerate().map(|(c, scale)| {
            let Scale { max_x_hat, max_dy, sum_dy, sum_dy_x_hat } = scale;
            let gain = f64::from(self.weight[c]).abs() * statistics.inverse_sigma[c];
            32.0 * EPSILON * gain * (max_dy + sum_dy / count + max_x_hat * sum_dy_x_hat / count)
        });
        let dx_bounds: Vec<_> = dx_bounds.collect();
        let mut worst = Worst::default();
        worst.full("dx", &expected.dx, &self.gather(dx), &self.shape, &dx_bounds);
        worst.channels("dweight", &expected.dweight, &self.pick(dweight), |c| {
            8.0 * EPSILON * (scales[c].sum_dy_x_hat + scales[c].sum_dy)
        });
        worst.channels("dbias", &expected.dbias, &self.pick(dbias), |c| 8.0 * EPSILON * scales[c].sum_dy);
        Ok(worst.into())
    }

    fn problem<'p>(&'p self, source: Source<'p>) -> Problem<'p> {
        let parameters = Parameters { weight: Some(&self.weight), bias: Some(&self.bias), epsilon: EPS };
        Problem::new(self.shape, parameters, source)
    }

    fn y_bounds(&self, statistics: &Statistics) -> Vec<f64> {
        let scales = self.scales(statistics);
        let bound = |(c, scale): (usize, &Scale)| {
            let gamma_x_hat = f64::from(self.weight[c]).abs() * scale.max_x_hat;
            16.0 * EPSILON * (gamma_x_hat + f64::from(self.bias[c]).abs())
        };
        scales.iter().enumerate().map(bound).collect()
    }

    fn scales(&self, statistics: &Statistics) -> Vec<Scale> {
        let mut scales = vec![Scale::default(); self.shape.channels()];
        for (i, (&x, &dy)) in self.x.iter().zip(self.dy.iter()).enumerate() {
            let c = channel_of(&self.shape, i);
            let x_hat = ((f64::from(x) - statistics.mean[c]) * statistics.inverse_sigma[c]).abs();
            let dy = f64::from(dy).abs();
            let scale = &mut scales[c];
            scale.max_x_hat = scale.max_x_hat.max(x_hat);
            scale.max_dy = scale.max_dy.max(dy);
            scale.sum_dy += dy;
            scale.sum_dy_x_hat += dy * x_hat;
        }
        scales
    }

    /// The checked channels of a full tensor.
    fn gather<'t>(&self, tensor: &'t [f32]) -> Cow<'t, [f32]> {
        if self.shape == self.whole {
            return tensor.into();
        }
        let mut gathered = Vec::with_capacity(self.shape.elements());
        for n in 0..self.whole.samples() {
            for &c in &self.channels {
                gathered.extend((0..self.whole.spatial()).map(|s| tensor[self.whole.index(n, c, s)]));
            }
        }
        gathered.into()
    }

    /// The checked channels of an array per channel.
    fn pick(&self, values: &[f32]) -> Vec<f32> {
        self.channels.iter().map(|&channel| values[channel]).collect()
    }
}

/// How large the quantities are that enter the results of one channel.
#[derive(Clone, Debug, Default)]
struct Scale {
    max_x_hat: f64,
    max_dy: f64,
    sum_dy: f64,
    sum_dy_x_hat: f64,
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
