//! What each pass should leave, and how far off it may be.

use super::{Bounds, EPSILON, Judge, widened};
use crate::bench::config::EPS;
use crate::bench::row::Pass;
use wgpu_batchnorm::Mode;
use wgpu_batchnorm::reference::{
    self, Moments, ReferenceError, Running, Segment, Source as Held, Statistics,
};

const MOMENTUM: f64 = 0.1;

/// One result.
pub(super) struct Expected {
    pub(super) name: &'static str,
    pub(super) extent: Extent,
    pub(super) values: Vec<f64>,
    /// For each ghost batch and channel if the tensor is full, else for each value.
    pub(super) bounds: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Extent {
    /// In the layout of x, of its dtype.
    Full,
    /// C values, maybe of each ghost batch.
    Channels,
    One,
}

fn full(name: &'static str, values: Vec<f64>, bounds: Vec<f64>) -> Expected {
    Expected { name, extent: Extent::Full, values, bounds }
}

fn channels(name: &'static str, values: Vec<f64>, bounds: Vec<f64>) -> Expected {
    Expected { name, extent: Extent::Channels, values, bounds }
}

impl Judge<'_> {
    pub(super) fn expected(&self, pass: Pass) -> Result<Vec<Expected>, ReferenceError> {
        let mode = if pass == Pass::Evaluation { Mode::EVALUATION } else { self.config.mode() };
        let problem = self.problem(mode.source);
        let (x, dy, extra) = (&self.x[..], &self.dy[..], &self.extra[..]);
        let forward = reference::forward(&problem, x)?;
        let bounds = Bounds::new(&problem, &forward, [x, dy, extra]);
        let moments = reference::group_moments(&problem, x)?;
        Ok(match pass {
            Pass::Forward | Pass::Evaluation => {
                let mut expected = vec![full("y", forward.y.clone(), bounds.y())];
                if problem.source == Held::Batch {
                    expected.extend(batch(&moments, &bounds));
                }
                expected.extend(self.running(if mode.update { &moments } else { &[] }, &bounds)?);
                expected
            }
            Pass::Statistics => batch(&moments, &bounds).into(),
            Pass::Backward => {
                let found = reference::backward(&problem, x, dy)?;
                let mut expected = vec![
                    full("dx", found.dx, bounds.dx()),
                    channels("dweight", found.dweight, bounds.dweight()),
                    channels("dbias", found.dbias, bounds.dbias()),
                ];
                if problem.residual.is_some() {
                    expected.push(full("dresidual", found.dresidual, bounds.dresidual()));
                }
                if mode == Mode::GIVEN {
                    expected.push(channels("dmean", found.dmean, bounds.dmean()));
                    expected.push(channels("dvariance", found.dvariance, bounds.dvariance()));
                }
                expected
            }
            Pass::MomentsBackward => {
                let segment = Segment::new(self.shape, problem.mask)?;
                let (dmean, dvariance) = (&self.weight, &self.bias);
                let moments = reference::statistics(x, &segment)?;
                let dx = reference::moments_backward(x, &segment, &moments, dmean, dvariance)?;
                vec![full("dx", dx, bounds.moments_backward(dmean, dvariance))]
            }
            Pass::Fold => self.folded(),
            Pass::DoubleBackward => {
                let found = reference::double_backward(&problem, x, dy, extra, &self.bias, &self.weight)?;
                let uniform = |values: &[f64]| {
                    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
                    vec![256.0 * EPSILON * largest; moments.len() * self.shape.channels()]
                };
                let of = [uniform(&found.grad_dy), uniform(&found.grad_x)];
                let [of_dy, of_x] = of;
                vec![
                    full("grad_dy", found.grad_dy, of_dy),
                    full("grad_x", found.grad_x, of_x),
                    channels("grad_weight", found.grad_weight, bounds.grad_weight()),
                ]
            }
            Pass::Copy | Pass::Step(_) => Vec::new(),
        })
    }

    /// The running statistics after taking in these batches.
    fn running(&self, batches: &[Moments], bounds: &Bounds<'_>) -> Result<[Expected; 4], ReferenceError> {
        let (mean, variance) = (widened(&self.running.mean), widened(&self.running.var));
        let mut running = Running { mean, variance };
        let (mut of_mean, mut of_variance) = (vec![0.0; running.mean.len()], vec![0.0; running.mean.len()]);
        // A batch of fewer than two values, as a mask may leave them, has no variance to take in.
        let taken = |batch: &&Moments| batch.count > 1;
        let edge = bounds.edge();
        for (batch, edge) in
            batches.iter().zip(edge.chunks(running.mean.len())).filter(|(batch, _)| taken(batch))
        {
            let Statistics { mean, variance, inverse_sigma, .. } = reference::finalize(batch, EPS);
            for (c, edge) in edge.iter().enumerate() {
                let sigma = 1.0 / inverse_sigma[c];
                of_mean[c] +=
                    EPSILON * (8.0 * sigma + 4.0 * (running.mean[c].abs() + mean[c].abs())) + 8.0 * edge;
                of_variance[c] += 4e-6 * (running.variance[c] + variance[c]) + 8.0 * sigma * edge;
            }
            running = reference::running_stats(&running, batch, MOMENTUM)?;
        }
        let tracked = batches.iter().filter(taken).count();
        let count = |name, batches: usize| {
            let (values, bounds) = (vec![batches as f64], vec![0.0]);
            Expected { name, extent: Extent::One, values, bounds }
        };
        Ok([
            channels("running_mean", running.mean, of_mean),
            channels("running_var", running.variance, of_variance),
            count("num_batches_tracked", self.running.num_batches_tracked as usize + tracked),
            count("num_batches_skipped", batches.len() - tracked),
        ])
    }

    /// Scale and offset of the statistics that are given.
    fn folded(&self) -> Vec<Expected> {
        let statistics = Statistics::held(widened(&self.running.mean), widened(&self.running.var), EPS);
        let scale: Vec<_> = self
            .weight
            .iter()
            .zip(&statistics.inverse_sigma)
            .map(|(&weight, inv)| f64::from(weight) * inv)
            .collect();
        let shift: Vec<_> = scale.iter().zip(&statistics.mean).map(|(scale, mean)| scale * mean).collect();
        let offset = self.bias.iter().zip(&shift).map(|(&bias, shift)| f64::from(bias) - shift).collect();
        let of_offset = |(&bias, shift): (&f32, &f64)| 8.0 * EPSILON * (f64::from(bias).abs() + shift.abs());
        let of_offset = self.bias.iter().zip(&shift).map(of_offset).collect();
        let of_scale = scale.iter().map(|scale| 8.0 * EPSILON * scale.abs()).collect();
        vec![channels("scale", scale, of_scale), channels("offset", offset, of_offset)]
    }
}

/// Mean and variance of each ghost batch.
fn batch(moments: &[Moments], bounds: &Bounds<'_>) -> [Expected; 2] {
    let (mut means, mut variances) = (Vec::new(), Vec::new());
    let (mut of_means, mut of_variances) = (Vec::new(), Vec::new());
    let mut edge = bounds.edge().into_iter();
    for moments in moments {
        let Statistics { mean, variance, inverse_sigma, .. } = reference::finalize(moments, EPS);
        for (c, edge) in edge.by_ref().take(mean.len()).enumerate() {
            let sigma = 1.0 / inverse_sigma[c];
            of_means.push(EPSILON * (8.0 * sigma + 2.0 * mean[c].abs()) + 8.0 * edge);
            of_variances.push(2e-6 * variance[c] + 8.0 * sigma * edge);
        }
        means.extend(mean);
        variances.extend(variance);
    }
    [channels("batch_mean", means, of_means), channels("batch_var", variances, of_variances)]
}
