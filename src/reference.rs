//! The definition of every step, in `f64`, by plain loops: what the kernels are tested against.
//!
//! Nothing here is shared with the kernels or their host code except [`Shape`](crate::Shape) and the names
//! of options, nothing is fast, and variances are taken in two passes: first the mean, then the deviations
//! from it. In this file are the steps; [`forward`], [`backward`] and [`double_backward`] compose them.
//!
#![doc = include_str!("reference/derivation.md")]

mod activation;
mod double_backward;
mod error;
mod estimates;
mod pass;
mod problem;
mod records;
mod segment;

pub use activation::{activate, activation_gradient};
pub use double_backward::{DoubleBackward, double_backward};
pub use error::ReferenceError;
pub use estimates::{cumulative_factor, moments_backward, population};
pub use pass::{Backward, Forward, backward, forward};
pub use problem::{Group, Parameters, Problem, Source, group_moments};
pub use records::{
    ChannelGradients, DoubleGradSums, DoubleGradients, GradSums, Moments, Running, Statistics,
};
pub use segment::{Element, Segment};

use segment::mean_of;

/// x → μ = Σx/m and M2 = Σ(x − μ)² per channel; both are 0 where no position counts.
///
/// # Errors
/// [`ReferenceError::Length`] if `x` does not have the shape's number of elements.
pub fn statistics(x: &[impl Element], segment: &Segment<'_>) -> Result<Moments, ReferenceError> {
    segment.check("x", x)?;
    let count = segment.count();
    let mean = mean_of(&segment.sum(|_, i| x[i].to_f64()), count);
    let m2 = segment.sum(|c, i| (x[i].to_f64() - mean[c]).powi(2));
    Ok(Moments { count, mean, m2 })
}

/// Moments → μ, v = M2/m and 1/σ = 1/√(v + ε) per channel, through which x reaches the loss.
pub fn finalize(moments: &Moments, epsilon: f64) -> Statistics {
    let variance = mean_of(&moments.m2, moments.count);
    Statistics { constant: false, ..Statistics::held(moments.mean.clone(), variance, epsilon) }
}

/// running ← (1 − factor)·running + factor·batch, the batch variance unbiased: M2/(m − 1). A batch without
/// any value leaves them as they are.
///
/// # Errors
/// [`ReferenceError`] if the running statistics have other channels or there is one value per channel.
pub fn running_stats(running: &Running, batch: &Moments, factor: f64) -> Result<Running, ReferenceError> {
    let average = |tensor, running: &[f64], batch: &[f64]| {
        error::check_channels(tensor, running.len(), batch.len())?;
        let pairs = running.iter().zip(batch);
        Ok(pairs.map(|(running, batch)| (1.0 - factor) * running + factor * batch).collect())
    };
    if batch.count == 0 {
        return Ok(running.clone());
    }
    Ok(Running {
        mean: average("running mean", &running.mean, &batch.mean)?,
        variance: average("running variance", &running.variance, &batch.unbiased_variance()?)?,
    })
}

/// γ·x̂ + β with x̂ = (x − μ)/σ, in the layout of `x`.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn normalize(
    x: &[impl Element],
    segment: &Segment<'_>,
    statistics: &Statistics,
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
) -> Result<Vec<f64>, ReferenceError> {
    segment.check("x", x)?;
    statistics.check(segment)?;
    let weight = segment.per_channel("weight", weight, 1.0)?;
    let bias = segment.per_channel("bias", bias, 0.0)?;
    Ok(segment.map(|c, i| weight[c] * statistics.x_hat(x[i], c) + bias[c]))
}

/// x, g → Σg and Σg·x̂ per channel. Without an activation after the normalization, g is dy.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn backward_reduce(
    x: &[impl Element],
    g: &[impl Element],
    segment: &Segment<'_>,
    statistics: &Statistics,
) -> Result<GradSums, ReferenceError> {
    segment.check("x", x)?;
    segment.check("dy", g)?;
    statistics.check(segment)?;
    Ok(GradSums {
        count: segment.count(),
        sum_dy: segment.sum(|_, i| g[i].to_f64()),
        sum_dy_x_hat: segment.sum(|c, i| g[i].to_f64() * statistics.x_hat(x[i], c)),
    })
}

/// GradSums → dγ = Σg·x̂, dβ = Σg, the means ⟨g·x̂⟩ and ⟨g⟩, and what reaches the statistics if they are
/// held: dmean = −γ/σ·Σg and dvariance = −γ/(2σ²)·Σg·x̂.
///
/// # Errors
/// [`ReferenceError::Channels`] if the sums, the statistics and the weight differ in channels.
pub fn backward_finalize(
    sums: &GradSums,
    statistics: &Statistics,
    weight: Option<&[f32]>,
) -> Result<ChannelGradients, ReferenceError> {
    let gain = statistics.gain(weight)?;
    error::check_channels("sum(dy)", sums.sum_dy.len(), gain.len())?;
    error::check_channels("sum(dy·x̂)", sums.sum_dy_x_hat.len(), gain.len())?;
    let channels = 0..gain.len();
    Ok(ChannelGradients {
        dweight: sums.sum_dy_x_hat.clone(),
        dbias: sums.sum_dy.clone(),
        dmean: channels.clone().map(|c| -gain[c] * sums.sum_dy[c]).collect(),
        dvariance: channels
            .map(|c| -0.5 * gain[c] * statistics.inverse_sigma[c] * sums.sum_dy_x_hat[c])
            .collect(),
        mean_dy: mean_of(&sums.sum_dy, sums.count),
        mean_dy_x_hat: mean_of(&sums.sum_dy_x_hat, sums.count),
    })
}

/// dx = γ/σ·(g − ⟨g⟩ − x̂·⟨g·x̂⟩), or γ/σ·g if the statistics are held.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn backward_apply(
    x: &[impl Element],
    g: &[impl Element],
    segment: &Segment<'_>,
    statistics: &Statistics,
    weight: Option<&[f32]>,
    gradients: &ChannelGradients,
) -> Result<Vec<f64>, ReferenceError> {
    segment.check("x", x)?;
    segment.check("dy", g)?;
    statistics.check(segment)?;
    let gain = statistics.gain(weight)?;
    if statistics.constant {
        return Ok(segment.map(|c, i| gain[c] * g[i].to_f64()));
    }
    let ChannelGradients { mean_dy, mean_dy_x_hat, .. } = gradients;
    segment.check_channels("mean(dy)", mean_dy)?;
    segment.check_channels("mean(dy·x̂)", mean_dy_x_hat)?;
    Ok(segment.map(|c, i| {
        let along_x_hat = statistics.x_hat(x[i], c) * mean_dy_x_hat[c];
        gain[c] * (g[i].to_f64() - mean_dy[c] - along_x_hat)
    }))
}

/// x, dy, ddx → the five sums Σg, Σg·x̂, Σv, Σv·x̂ and Σg·v per channel, g = dy and v = ddx.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn double_backward_reduce(
    x: &[impl Element],
    dy: &[impl Element],
    ddx: &[impl Element],
    segment: &Segment<'_>,
    statistics: &Statistics,
) -> Result<DoubleGradSums, ReferenceError> {
    segment.check("ddx", ddx)?;
    let of_dy = backward_reduce(x, dy, segment, statistics)?;
    let of_ddx = backward_reduce(x, ddx, segment, statistics)?;
    let means = [mean_of(&of_dy.sum_dy, of_dy.count), mean_of(&of_ddx.sum_dy, of_ddx.count)];
    let product = |c: usize, i: usize| (dy[i].to_f64() - means[0][c]) * (ddx[i].to_f64() - means[1][c]);
    Ok(DoubleGradSums { sum_dy_ddx: segment.sum(product), dy: of_dy, ddx: of_ddx })
}

/// DoubleGradSums → grad_weight = m·f/σ with f = ⟨(g − ⟨g⟩)(v − ⟨v⟩)⟩ − ⟨g·x̂⟩⟨v·x̂⟩, or Σg·v/σ if the
/// statistics are held; and the coefficients of the last step: γ/σ, a = ddweight, b = ddbias, f and the means.
///
/// # Errors
/// [`ReferenceError::Channels`] if the sums, the statistics and the weights differ in channels.
pub fn double_backward_finalize(
    sums: &DoubleGradSums,
    statistics: &Statistics,
    weight: Option<&[f32]>,
    ddweight: &[f32],
    ddbias: &[f32],
) -> Result<DoubleGradients, ReferenceError> {
    let dy = backward_finalize(&sums.dy, statistics, None)?;
    let ddx = backward_finalize(&sums.ddx, statistics, None)?;
    let (gain, inv) = (statistics.gain(weight)?, &statistics.inverse_sigma);
    let m = sums.dy.count;
    let mean_dy_ddx = mean_of(&sums.sum_dy_ddx, m);
    for (tensor, length) in
        [("sum(dy·ddx)", mean_dy_ddx.len()), ("ddweight", ddweight.len()), ("ddbias", ddbias.len())]
    {
        error::check_channels(tensor, length, gain.len())?;
    }
    let f = |c: usize| mean_dy_ddx[c] - dy.mean_dy_x_hat[c] * ddx.mean_dy_x_hat[c];
    let f: Vec<f64> = (0..gain.len()).map(f).collect();
    let product = |c: usize| mean_dy_ddx[c] + dy.mean_dy[c] * ddx.mean_dy[c];
    let mean: Vec<f64> = if statistics.constant { (0..gain.len()).map(product).collect() } else { f.clone() };
    Ok(DoubleGradients {
        grad_weight: mean.iter().zip(inv).map(|(mean, inv)| m as f64 * mean * inv).collect(),
        gain,
        a: ddweight.iter().map(|&a| a.into()).collect(),
        b: ddbias.iter().map(|&b| b.into()).collect(),
        f,
        mean_dy: dy.mean_dy,
        mean_dy_x_hat: dy.mean_dy_x_hat,
        mean_ddx: ddx.mean_dy,
        mean_ddx_x_hat: ddx.mean_dy_x_hat,
    })
}

/// x, dy, ddx → grad_dy and grad_x in the layout of `x`, with G = g − ⟨g⟩ − x̂⟨g·x̂⟩ and V = v − ⟨v⟩ − x̂⟨v·x̂⟩:
/// grad_dy = γ/σ·V + a·x̂ + b and grad_x = −γ/σ²·(f·x̂ + ⟨g·x̂⟩·V + ⟨v·x̂⟩·G) + a/σ·G. If the statistics are
/// held, γ/σ·v + a·x̂ + b and a/σ·g.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn double_backward_apply(
    x: &[impl Element],
    dy: &[impl Element],
    ddx: &[impl Element],
    segment: &Segment<'_>,
    statistics: &Statistics,
    gradients: &DoubleGradients,
) -> Result<(Vec<f64>, Vec<f64>), ReferenceError> {
    segment.check("x", x)?;
    segment.check("dy", dy)?;
    segment.check("ddx", ddx)?;
    statistics.check(segment)?;
    gradients.check(segment)?;
    let DoubleGradients { gain, a, b, f, .. } = gradients;
    let DoubleGradients { mean_dy, mean_dy_x_hat, mean_ddx, mean_ddx_x_hat, .. } = gradients;
    let (g, v) = (|i: usize| dy[i].to_f64(), |i: usize| ddx[i].to_f64());
    let (x_hat, inv) = (|c: usize, i: usize| statistics.x_hat(x[i], c), &statistics.inverse_sigma);
    if statistics.constant {
        let grad_dy = segment.map(|c, i| gain[c] * v(i) + a[c] * x_hat(c, i) + b[c]);
        return Ok((grad_dy, segment.map(|c, i| a[c] * inv[c] * g(i))));
    }
    let big_g = |c: usize, i: usize| g(i) - mean_dy[c] - x_hat(c, i) * mean_dy_x_hat[c];
    let big_v = |c: usize, i: usize| v(i) - mean_ddx[c] - x_hat(c, i) * mean_ddx_x_hat[c];
    let grad_dy = segment.map(|c, i| gain[c] * big_v(c, i) + a[c] * x_hat(c, i) + b[c]);
    let grad_x = segment.map(|c, i| {
        let crossed = mean_dy_x_hat[c] * big_v(c, i) + mean_ddx_x_hat[c] * big_g(c, i);
        -gain[c] * inv[c] * (f[c] * x_hat(c, i) + crossed) + a[c] * inv[c] * big_g(c, i)
    });
    Ok((grad_dy, grad_x))
}
