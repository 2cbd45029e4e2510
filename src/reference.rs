//! The definition of every step, in `f64`, by plain loops: what the kernels are tested against.
//!
//! Nothing here is shared with the kernels or their host code except [`Shape`], nothing is fast, and
//! every sum is taken in two passes: first the mean, then the deviations from it.
//!
//! # Conventions
//! Those of PyTorch. A channel has `m = N·S` values.
//! - The *biased* variance `v = Σ(x − μ)²/m` normalizes; the *unbiased* one, `Σ(x − μ)²/(m − 1)`,
//!   goes to the running variance. So training needs two values per channel.
//! - `running ← (1 − momentum)·running + momentum·batch`: momentum 0 keeps, momentum 1 replaces.
//!   The cumulative average takes `1/(num_batches_tracked + 1)`, see [`cumulative_factor`].
//! - ε is added to the variance, inside the root: `σ = √(v + ε)`.
//! - Absent `weight` and `bias` are γ = 1 and β = 0.
//!
//! # Derivation of the backward pass
//! For one channel, with the loss `L` and `dy = ∂L/∂y`:
//!
//! ```text
//! y_i = γ·x̂_i + β        x̂_i = (x_i − μ)/σ        σ = √(v + ε)
//! μ   = Σ x_i / m         v   = Σ (x_i − μ)² / m
//! ```
//!
//! The parameters reach `L` through `y` alone:
//!
//! ```text
//! dβ = Σ dy_i             dγ = Σ dy_i·x̂_i
//! ```
//!
//! `x` reaches it in three ways, directly, through `μ` and through `v`. With `g_i = ∂L/∂x̂_i = γ·dy_i`:
//!
//! ```text
//! ∂L/∂v = Σ g_i·(x_i − μ)·(−½)·(v + ε)^(−3/2) = −1/(2σ²)·Σ g_i·x̂_i
//! ∂L/∂μ = Σ g_i·(−1/σ) + ∂L/∂v·Σ −2(x_i − μ)/m = −1/σ·Σ g_i       since Σ (x_i − μ) = 0
//! ```
//!
//! With `∂v/∂x_i = 2(x_i − μ)/m = 2σ·x̂_i/m` (the part through `μ` vanishes as above) and `∂μ/∂x_i = 1/m`:
//!
//! ```text
//! dx_i = g_i/σ + ∂L/∂v·∂v/∂x_i + ∂L/∂μ·∂μ/∂x_i
//!      = g_i/σ − x̂_i/(σ·m)·Σ g_j·x̂_j − 1/(σ·m)·Σ g_j
//!      = γ/σ·(dy_i − mean(dy) − x̂_i·mean(dy·x̂))
//! ```
//!
//! So `backward_reduce` takes two sums per channel, which are dβ and dγ themselves, and
//! `backward_apply` needs no others. Statistics held constant (evaluation) leave the direct way only:
//! `dx_i = γ/σ·dy_i`.

mod pass;
mod records;

pub use pass::{Backward, Forward, Parameters, Source, backward, forward};
pub use records::{ChannelGradients, GradSums, Moments, ReferenceError, Running, Statistics};

use crate::{Layout, Shape};

/// x → μ and Σ(x − μ)² per channel.
///
/// # Errors
/// [`ReferenceError::Length`] if `x` does not have the shape's number of elements.
pub fn statistics(x: &[f32], shape: &Shape) -> Result<Moments, ReferenceError> {
    check("x", x, shape.elements(), shape)?;
    let count = shape.values_per_channel();
    let mut mean = vec![0.0; shape.channels()];
    for_each(shape, |c, i| mean[c] += f64::from(x[i]));
    mean.iter_mut().for_each(|mean| *mean /= count as f64);
    let mut m2 = vec![0.0; shape.channels()];
    for_each(shape, |c, i| m2[c] += (f64::from(x[i]) - mean[c]).powi(2));
    Ok(Moments { count, mean, m2 })
}

/// Moments → μ, v = M2/m and 1/σ = 1/√(v + ε) per channel.
pub fn finalize(moments: &Moments, epsilon: f64) -> Statistics {
    let variance = moments.m2.iter().map(|m2| m2 / moments.count as f64).collect();
    Statistics::held(moments.mean.clone(), variance, epsilon)
}

/// running ← (1 − factor)·running + factor·batch, the batch variance unbiased: M2/(m − 1).
///
/// # Errors
/// [`ReferenceError`] if the running statistics have other channels or there is one value per channel.
pub fn running_stats(running: &Running, batch: &Moments, factor: f64) -> Result<Running, ReferenceError> {
    if batch.count < 2 {
        return Err(ReferenceError::TooFewValues { actual: batch.count });
    }
    let unbiased: Vec<f64> = batch.m2.iter().map(|m2| m2 / (batch.count - 1) as f64).collect();
    Ok(Running {
        mean: average("running mean", &running.mean, &batch.mean, factor)?,
        variance: average("running variance", &running.variance, &unbiased, factor)?,
    })
}

/// The factor with which running statistics are the mean over all batches so far: 1/(tracked + 1),
/// `num_batches_tracked` counted before this batch.
pub fn cumulative_factor(num_batches_tracked: u64) -> f64 {
    1.0 / (num_batches_tracked as f64 + 1.0)
}

/// y = γ·x̂ + β with x̂ = (x − μ)/σ, in the layout of `x`.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn normalize(
    x: &[f32],
    shape: &Shape,
    statistics: &Statistics,
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
) -> Result<Vec<f64>, ReferenceError> {
    check("x", x, shape.elements(), shape)?;
    statistics.check(shape)?;
    let (weight, bias) = (per_channel("weight", weight, 1.0, shape)?, per_channel("bias", bias, 0.0, shape)?);
    let mut y = vec![0.0; x.len()];
    for_each(shape, |c, i| y[i] = weight[c] * statistics.x_hat(x[i], c) + bias[c]);
    Ok(y)
}

/// x, dy → Σdy and Σdy·x̂ per channel.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn backward_reduce(
    x: &[f32],
    dy: &[f32],
    shape: &Shape,
    statistics: &Statistics,
) -> Result<GradSums, ReferenceError> {
    check("x", x, shape.elements(), shape)?;
    check("dy", dy, shape.elements(), shape)?;
    statistics.check(shape)?;
    let mut sum_dy = vec![0.0; shape.channels()];
    let mut sum_dy_x_hat = vec![0.0; shape.channels()];
    for_each(shape, |c, i| {
        sum_dy[c] += f64::from(dy[i]);
        sum_dy_x_hat[c] += f64::from(dy[i]) * statistics.x_hat(x[i], c);
    });
    Ok(GradSums { count: shape.values_per_channel(), sum_dy, sum_dy_x_hat })
}

/// GradSums → dγ = Σdy·x̂, dβ = Σdy and the means of both over the m values.
pub fn backward_finalize(sums: &GradSums) -> ChannelGradients {
    let mean = |sums_of: &[f64]| sums_of.iter().map(|sum| sum / sums.count as f64).collect();
    ChannelGradients {
        dweight: sums.sum_dy_x_hat.clone(),
        dbias: sums.sum_dy.clone(),
        mean_dy: mean(&sums.sum_dy),
        mean_dy_x_hat: mean(&sums.sum_dy_x_hat),
    }
}

/// dx = γ/σ·(dy − mean(dy) − x̂·mean(dy·x̂)), or γ/σ·dy without `means`: the statistics are held constant.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn backward_apply(
    x: &[f32],
    dy: &[f32],
    shape: &Shape,
    statistics: &Statistics,
    weight: Option<&[f32]>,
    means: Option<&ChannelGradients>,
) -> Result<Vec<f64>, ReferenceError> {
    check("x", x, shape.elements(), shape)?;
    check("dy", dy, shape.elements(), shape)?;
    statistics.check(shape)?;
    let weight = per_channel("weight", weight, 1.0, shape)?;
    let mut dx = vec![0.0; x.len()];
    match means {
        Some(ChannelGradients { mean_dy, mean_dy_x_hat, .. }) => {
            check("mean(dy)", mean_dy, shape.channels(), shape)?;
            check("mean(dy·x̂)", mean_dy_x_hat, shape.channels(), shape)?;
            for_each(shape, |c, i| {
                let centered = f64::from(dy[i]) - mean_dy[c];
                let along_x_hat = statistics.x_hat(x[i], c) * mean_dy_x_hat[c];
                dx[i] = weight[c] * statistics.inverse_sigma[c] * (centered - along_x_hat);
            });
        }
        None => for_each(shape, |c, i| dx[i] = weight[c] * statistics.inverse_sigma[c] * f64::from(dy[i])),
    }
    Ok(dx)
}

/// Visits every element in memory order with its channel and its index.
fn for_each(shape: &Shape, mut visit: impl FnMut(usize, usize)) {
    let (samples, channels, spatial) = (shape.samples(), shape.channels(), shape.spatial());
    for n in 0..samples {
        match shape.layout() {
            Layout::ChannelsFirst => {
                (0..channels).for_each(|c| (0..spatial).for_each(|s| visit(c, shape.index(n, c, s))));
            }
            Layout::ChannelsLast => {
                (0..spatial).for_each(|s| (0..channels).for_each(|c| visit(c, shape.index(n, c, s))));
            }
        }
    }
}

fn average(tensor: &'static str, running: &[f64], batch: &[f64], m: f64) -> Result<Vec<f64>, ReferenceError> {
    if running.len() != batch.len() {
        return Err(ReferenceError::Channels { tensor, actual: running.len(), expected: batch.len() });
    }
    Ok(running.iter().zip(batch).map(|(running, batch)| (1.0 - m) * running + m * batch).collect())
}

/// The values in `f64`, or the default for every channel if absent.
fn per_channel(
    tensor: &'static str,
    values: Option<&[f32]>,
    default: f64,
    shape: &Shape,
) -> Result<Vec<f64>, ReferenceError> {
    let Some(values) = values else { return Ok(vec![default; shape.channels()]) };
    check(tensor, values, shape.channels(), shape)?;
    Ok(values.iter().map(|&value| f64::from(value)).collect())
}

fn check<T>(tensor: &'static str, slice: &[T], expected: usize, shape: &Shape) -> Result<(), ReferenceError> {
    if slice.len() == expected {
        return Ok(());
    }
    Err(ReferenceError::Length { tensor, actual: slice.len(), expected, shape: *shape })
}
