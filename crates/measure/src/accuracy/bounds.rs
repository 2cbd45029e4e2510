//! How large the quantities are that enter the results, and the bounds that follow from them.

use super::{EPSILON, channel_of};
use wgpu_batchnorm::reference::{Forward, Problem, Source, activate, activation_gradient};
use wgpu_batchnorm::{Activation, Layout, Order, Shape};

/// Of the values of one channel and ghost batch: largest ones, sums and a count. u is what is normalized,
/// d = │dy│ times the slope of an activation after, which counts as at least 1/4.
#[derive(Clone, Debug, Default)]
struct Scale {
    max_u: f64,
    max_x_hat: f64,
    max_residual: f64,
    /// Of an activation before.
    max_slope: f64,
    max_dy: f64,
    max_d: f64,
    sum_d: f64,
    sum_d_x_hat: f64,
    sum_dy_extra: f64,
    count: f64,
}

/// Bounds of what a pass leaves, each for all ghost batches and channels: those of the first batch come first.
pub struct Bounds<'a> {
    problem: &'a Problem<'a>,
    forward: &'a Forward,
    scales: Vec<Scale>,
    /// Of y, and of the gradients: an activation has rounding of its own.
    factors: [f64; 2],
    /// Whether there is an activation before.
    pre: bool,
}

impl<'a> Bounds<'a> {
    /// The bounds for this problem, what the reference makes of it forward, and x, dy and a second tensor of x's size: the
    /// residual, or ddx, or empty.
    pub fn new(problem: &'a Problem<'a>, forward: &'a Forward, [x, dy, extra]: [&[f32]; 3]) -> Self {
        let has = problem.activation != Activation::None;
        let pre = has && problem.order == Order::Pre;
        let (shape, channels) = (&problem.shape, problem.shape.channels());
        let mut scales = vec![Scale::default(); forward.groups.len() * channels];
        for (i, &x) in x.iter().enumerate() {
            let (c, group) = (channel_of(shape, i), group_of(problem, i));
            if problem.mask.is_some_and(|mask| !mask[position_of(shape, i)]) {
                continue;
            }
            let statistics = &forward.groups[group].statistics;
            let x = f64::from(x);
            let u = if pre { activate(problem.activation, x) } else { x };
            let slope =
                activation_gradient(problem.activation, if pre { x } else { forward.z[i] }, 1.0).abs();
            let x_hat = ((u - statistics.mean[c]) * statistics.inverse_sigma[c]).abs();
            let dy = f64::from(dy[i]).abs();
            let d = if pre { dy } else { dy * slope.max(0.25) };
            let extra = extra.get(i).map_or(0.0, |&extra| f64::from(extra).abs());
            let scale = &mut scales[group * channels + c];
            let largest = |all: &mut f64, value: f64| *all = all.max(value);
            largest(&mut scale.max_u, u.abs());
            largest(&mut scale.max_x_hat, x_hat);
            largest(&mut scale.max_residual, if problem.residual.is_some() { extra } else { 0.0 });
            largest(&mut scale.max_slope, slope);
            largest(&mut scale.max_dy, dy);
            largest(&mut scale.max_d, d);
            scale.sum_d += d;
            scale.sum_d_x_hat += d * x_hat;
            scale.sum_dy_extra += dy * extra;
            scale.count += 1.0;
        }
        Self { problem, forward, scales, factors: if has { [1.5, 3.0] } else { [1.0; 2] }, pre }
    }

    /// A bound of each ghost batch and channel, from its scale, │γ│/σ, σ and the channel.
    fn each(&self, bound: impl Fn(&Scale, f64, f64, usize) -> f64) -> Vec<f64> {
        let channels = self.problem.shape.channels();
        let of = |(i, scale): (usize, &Scale)| {
            let (group, c) = (&self.forward.groups[i / channels], i % channels);
            let sigma = 1.0 / group.statistics.inverse_sigma[c];
            let weight = self.problem.parameters.weight.map_or(1.0, |weight| weight[c].abs().into());
            EPSILON * bound(scale, weight / sigma, sigma, c)
        };
        self.scales.iter().enumerate().map(of).collect()
    }

    /// The same, added up over the ghost batches.
    fn total(&self, bound: impl Fn(&Scale, f64, f64, usize) -> f64) -> Vec<f64> {
        let channels = self.problem.shape.channels();
        let each = self.each(bound);
        (0..channels).map(|c| each.iter().skip(c).step_by(channels).sum()).collect()
    }

    /// ε times the largest │u│, where an activation before rounds u, and 0 without.
    pub fn edge(&self) -> Vec<f64> {
        self.each(|scale, _, _, _| if self.pre { scale.max_u } else { 0.0 })
    }

    /// Of y.
    pub fn y(&self) -> Vec<f64> {
        self.each(|scale, gain, sigma, c| {
            let bias = self.problem.parameters.bias.map_or(0.0, |bias| bias[c].abs().into());
            let edge = if self.pre { 12.0 * gain * scale.max_u } else { 0.0 };
            16.0 * self.factors[0] * (gain * sigma * scale.max_x_hat + bias + scale.max_residual) + edge
        })
    }

    /// Of dx.
    pub fn dx(&self) -> Vec<f64> {
        let batch = self.problem.source == Source::Batch;
        self.each(|scale, gain, _, _| {
            let Scale { max_d, max_x_hat, sum_d, sum_d_x_hat, count, .. } = scale;
            let through = if batch { (sum_d + max_x_hat * sum_d_x_hat) / count.max(1.0) } else { 0.0 };
            let slope = if self.pre { scale.max_slope + 0.25 } else { 1.0 };
            32.0 * self.factors[1] * gain * (max_d + through) * slope
        })
    }

    /// Of dresidual.
    pub fn dresidual(&self) -> Vec<f64> {
        self.each(|scale, _, _, _| 66.0 * scale.max_dy)
    }

    /// Of dweight.
    pub fn dweight(&self) -> Vec<f64> {
        self.total(|scale, _, _, _| 8.0 * self.factors[1] * (scale.sum_d + scale.sum_d_x_hat))
    }

    /// Of dbias.
    pub fn dbias(&self) -> Vec<f64> {
        self.total(|scale, _, _, _| 8.0 * self.factors[1] * scale.sum_d)
    }

    /// Of dmean.
    pub fn dmean(&self) -> Vec<f64> {
        self.total(|scale, gain, _, _| 10.0 * self.factors[1] * gain * scale.sum_d)
    }

    /// Of dvariance.
    pub fn dvariance(&self) -> Vec<f64> {
        self.total(|scale, gain, sigma, _| {
            5.0 * self.factors[1] * gain / sigma * (scale.sum_d + scale.sum_d_x_hat)
        })
    }

    /// Of (dmean + 2·(x − mean)·dvariance)/m.
    pub fn moments_backward(&self, dmean: &[f32], dvariance: &[f32]) -> Vec<f64> {
        self.each(|scale, _, sigma, c| {
            let along = 2.0 * scale.max_x_hat * sigma * f64::from(dvariance[c]).abs();
            32.0 * (f64::from(dmean[c]).abs() + along) / scale.count.max(1.0)
        })
    }

    /// Of grad_weight.
    pub fn grad_weight(&self) -> Vec<f64> {
        self.total(|scale, _, sigma, _| 16.0 * (scale.sum_dy_extra + scale.sum_d + scale.sum_d_x_hat) / sigma)
    }
}

/// The ghost batch of an element.
pub fn group_of(problem: &Problem<'_>, index: usize) -> usize {
    let sample = index / (problem.shape.channels() * problem.shape.spatial());
    problem.ghost_batch.map_or(0, |samples| sample / samples)
}

/// n·S + s of an element.
fn position_of(shape: &Shape, index: usize) -> usize {
    match shape.layout() {
        Layout::ChannelsFirst => {
            index / (shape.channels() * shape.spatial()) * shape.spatial() + index % shape.spatial()
        }
        Layout::ChannelsLast => index / shape.channels(),
    }
}
