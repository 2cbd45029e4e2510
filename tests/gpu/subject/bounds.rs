//! How far results may be from the reference: the formulas of `tests/cases/bounds.py`, for each channel of each
//! group of samples.

use super::{EPSILON, Setup, positions};
use std::ops::Range;
use wgpu_batchnorm::reference::{Group, activate, activation_gradient};
use wgpu_batchnorm::{Activation, Dtype, Order, Source};

/// Absolute bounds, before rounding to the element type of the tensors.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) y: f64,
    pub(crate) dx: f64,
    pub(crate) dresidual: f64,
    pub(crate) dweight: f64,
    pub(crate) dbias: f64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
    pub(crate) dmean: f64,
    pub(crate) dvariance: f64,
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

impl Bounds {
    /// Those of channel `c` of `samples`, which `group` normalizes; `z` is what enters an activation after it.
    pub(crate) fn of(setup: &Setup, c: usize, samples: Range<usize>, group: &Group, z: &[f64]) -> Self {
        let activation = setup.options.activation;
        let has = activation != Activation::None;
        let pre = has && setup.options.order == Order::Pre;
        let (k, m) = if has { (1.5, 3.0) } else { (1.0, 1.0) };
        let gamma = if setup.options.weight { f64::from(setup.weight[c]).abs() } else { 1.0 };
        let beta = if setup.options.bias { f64::from(setup.bias[c]).abs() } else { 0.0 };
        let statistics = &group.statistics;
        let (mean, inverse) = (statistics.mean[c], statistics.inverse_sigma[c]);
        let shown: Vec<usize> = positions(setup.shape, c, samples)
            .filter(|&(_, position)| setup.is_shown(position))
            .map(|(i, _)| i)
            .collect();
        let count = shown.len().max(1) as f64;

        let x = |i: usize| f64::from(setup.x[i]);
        let u = |i: usize| if pre { activate(activation, x(i)) } else { x(i) };
        let h = |i: usize| ((u(i) - mean) * inverse).abs();
        let slope = |i: usize| activation_gradient(activation, if pre { x(i) } else { z[i] }, 1.0).abs();
        let dy = |i: usize| f64::from(setup.dy[i]).abs();
        let d = |i: usize| if has && !pre { dy(i) * slope(i).max(0.25) } else { dy(i) };
        let residual =
            |i: usize| setup.residual.as_ref().map_or(0.0, |residual| f64::from(residual[i]).abs());
        let most = |f: &dyn Fn(usize) -> f64| largest(shown.iter().map(|&i| f(i)));
        let sum = |f: &dyn Fn(usize) -> f64| shown.iter().map(|&i| f(i)).sum::<f64>();

        let scale = gamma * inverse;
        let edge = if pre { most(&|i| u(i).abs()) } else { 0.0 };
        let batch_mean = sum(&u) / count;
        let deviation = (sum(&|i| (u(i) - batch_mean).powi(2)) / count).sqrt();
        // The means of the gradient take part only if the statistics are the batch's.
        let reach = match setup.mode.source {
            Source::Batch => most(&d) + (sum(&d) + most(&h) * sum(&|i| d(i) * h(i))) / count,
            Source::Running | Source::Given => most(&d),
        };
        let steepest = if pre { most(&slope) + 0.25 } else { 1.0 };
        let dbias = 8.0 * EPSILON * m * sum(&d);
        let dweight = 8.0 * EPSILON * m * sum(&|i| d(i) * (1.0 + h(i)));
        Self {
            y: 16.0 * EPSILON * k * (gamma * most(&h) + beta + most(&residual))
                + 12.0 * EPSILON * scale * edge,
            dx: 32.0 * EPSILON * m * scale * reach * steepest,
            dresidual: 64.0 * EPSILON * most(&dy),
            dweight,
            dbias,
            mean: 8.0 * EPSILON * (deviation + edge),
            // Where the activation saturates, its rounding errors are all the variance there is.
            variance: 8.0 * EPSILON * deviation * edge + (2.0 * EPSILON * edge).powi(2),
            // −γ/σ·Σg and −γ/(2σ²)·Σg·x̂ inherit the bounds of the sums.
            dmean: scale * dbias,
            dvariance: 0.5 * scale * inverse * dweight,
        }
    }
}

/// How far rounding to the element type may move a value: relative and absolute.
pub(crate) fn rounding(dtype: Dtype) -> (f64, f64) {
    match dtype {
        Dtype::F32 => (0.0, 0.0),
        Dtype::F16 => (1.05 / 2048.0, EPSILON),
        Dtype::BF16 => (1.05 / 256.0, 0.0),
    }
}
