//! Batch normalization on the CPU in float32, as fast as we can make it: the opponent of the benchmark.
//!
//! For each channel, over the M = N·S values that share it:
//!
//! - `mean = Σx / M`, `variance = Σ(x − mean)² / M`, `inv_std = 1/√(variance + eps)`
//! - `y = γ·(x − mean)·inv_std + β`
//! - `dβ = Σdy`, `dγ = Σdy·x̂`, `dx = γ·inv_std·(dy − dβ/M − x̂·dγ/M)` with `x̂ = (x − mean)·inv_std`
//!
//! Statistics are summed in float32 relative to a value near the data, in short blocks that are
//! merged in float64: nothing cancels, whatever the mean. The tensor is read once for them and once
//! more for y; with channels first the second read finds the channel in the cache. Work is shared
//! among rayon's threads over channels or, where these are few, over samples and positions; a caller
//! that is one of rayon's threads saves being woken. Channels last, results do not depend on the number
//! of threads; channels first, sums are taken in another order where there are fewer than four
//! channels for each thread.
//!
//! ```
//! use wgpu_batchnorm::{Layout, Shape};
//!
//! let shape = Shape::new(&[2, 1, 2], Layout::ChannelsFirst)?;
//! let (x, mut y) = ([1.0, 3.0, 5.0, 7.0], [0.0; 4]);
//! let statistics = wgpu_batchnorm_baseline::forward_train(shape, &x, None, None, 0.0, &mut y)?;
//! assert_eq!((statistics.mean[0], statistics.variance[0]), (4.0, 5.0));
//! assert_eq!(y[0], -3.0 / 5f32.sqrt());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod coefficients;
mod columns;
mod elementwise;
mod error;
mod moments;
mod plane;
mod planes;
mod rows;
mod stream;

use wgpu_batchnorm::{Layout, Shape};

use coefficients::{Affine, GradSums, Gradient};
use error::{check_channels, check_epsilon, check_tensor};
use moments::Moments;
use rows::Rows;

pub use error::BaselineError;

/// What [`forward_train`] finds out about each channel, and [`backward`] needs: C values each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// `Σx / M`.
    pub mean: Vec<f32>,
    /// `Σ(x − mean)² / M`, the biased (population) variance.
    pub variance: Vec<f32>,
    /// `1/√(variance + eps)`.
    pub inv_std: Vec<f32>,
}

/// How a shape lies in memory, as the passes take it.
enum Traversal {
    /// Each channel is N planes of S neighbours.
    Planes,
    /// Neighbours belong to different channels.
    Rows(Rows),
}

impl Traversal {
    fn new(shape: Shape) -> Self {
        match shape.layout() {
            Layout::ChannelsFirst if planes::suit(shape) => Self::Planes,
            _ => Self::Rows(Rows::new(shape)),
        }
    }
}

/// Normalizes `x` with the statistics of the batch: `y = weight·(x − mean)·inv_std + bias`.
///
/// `x` and `y` have N·C·S elements in the layout of `shape`, `weight` (1 if `None`) and `bias` (0 if
/// `None`) have C. Returns the statistics. Running statistics are the caller's to update.
///
/// # Errors
/// [`BaselineError::Length`] if a slice has another length, [`BaselineError::OneValue`] if N·S = 1,
/// [`BaselineError::Epsilon`] if `eps` is negative or not finite.
pub fn forward_train(
    shape: Shape,
    x: &[f32],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
    y: &mut [f32],
) -> Result<Statistics, BaselineError> {
    check_tensor("x", x.len(), shape.elements())?;
    check_tensor("y", y.len(), shape.elements())?;
    check_parameters(shape, weight, bias)?;
    check_epsilon(eps)?;
    check_count(shape)?;

    let affine = |channel: usize, moments: Moments| {
        let (weight, bias) = (at(weight, channel, 1.0), at(bias, channel, 0.0));
        Affine::new(moments.mean, moments.variance(), weight, bias, eps)
    };
    let moments = match Traversal::new(shape) {
        Traversal::Planes => planes::forward(shape, x, y, affine),
        Traversal::Rows(rows) => rows.forward(x, y, affine),
    };
    Ok(Statistics {
        mean: moments.iter().map(|channel| channel.mean as f32).collect(),
        variance: moments.iter().map(|channel| channel.variance() as f32).collect(),
        inv_std: moments
            .iter()
            .map(|channel| (channel.variance() + f64::from(eps)).sqrt().recip() as f32)
            .collect(),
    })
}

/// Normalizes `x` with given statistics: `y = weight·(x − mean)/√(variance + eps) + bias`.
///
/// `x` and `y` have N·C·S elements in the layout of `shape`, `mean`, `variance`, `weight` (1 if
/// `None`) and `bias` (0 if `None`) have C.
///
/// # Errors
/// [`BaselineError::Length`] if a slice has another length, [`BaselineError::Epsilon`] if `eps` is
/// negative or not finite.
#[expect(clippy::too_many_arguments, reason = "the operator's own arguments, all plain slices")]
pub fn forward_eval(
    shape: Shape,
    x: &[f32],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    mean: &[f32],
    variance: &[f32],
    eps: f32,
    y: &mut [f32],
) -> Result<(), BaselineError> {
    check_tensor("x", x.len(), shape.elements())?;
    check_tensor("y", y.len(), shape.elements())?;
    check_parameters(shape, weight, bias)?;
    check_channels("mean", mean.len(), shape.channels())?;
    check_channels("variance", variance.len(), shape.channels())?;
    check_epsilon(eps)?;

    let statistics = mean.iter().zip(variance).enumerate();
    let affines: Vec<_> = statistics
        .map(|(channel, (&mean, &variance))| {
            let (weight, bias) = (at(weight, channel, 1.0), at(bias, channel, 0.0));
            Affine::new(f64::from(mean), f64::from(variance), weight, bias, eps)
        })
        .collect();
    match Traversal::new(shape) {
        Traversal::Planes => planes::normalize(shape, x, &affines, y),
        Traversal::Rows(rows) => rows.normalize(x, &affines, y),
    }
    Ok(())
}

/// The gradients of [`forward_train`]: `dx = weight·inv_std·(dy − dbias/M − x̂·dweight/M)`, with
/// `dweight = Σdy·x̂`, `dbias = Σdy` and `x̂ = (x − mean)·inv_std`.
///
/// `x`, `dy` and `dx` have N·C·S elements in the layout of `shape`, `weight` (1 if `None`) has C,
/// `statistics` are those that the forward pass returned. Returns `(dweight, dbias)`, C values each.
///
/// # Errors
/// [`BaselineError::Length`] if a slice has another length, [`BaselineError::OneValue`] if N·S = 1.
pub fn backward(
    shape: Shape,
    x: &[f32],
    dy: &[f32],
    weight: Option<&[f32]>,
    statistics: &Statistics,
    dx: &mut [f32],
) -> Result<(Vec<f32>, Vec<f32>), BaselineError> {
    check_tensor("x", x.len(), shape.elements())?;
    check_tensor("dy", dy.len(), shape.elements())?;
    check_tensor("dx", dx.len(), shape.elements())?;
    check_parameters(shape, weight, None)?;
    check_channels("statistics.mean", statistics.mean.len(), shape.channels())?;
    check_channels("statistics.inv_std", statistics.inv_std.len(), shape.channels())?;
    check_count(shape)?;

    let count = shape.values_per_channel();
    let Statistics { mean, inv_std, .. } = statistics;
    let gradient = |channel: usize, sums: GradSums| {
        Gradient::new(sums, count, at(weight, channel, 1.0), mean[channel], inv_std[channel])
    };
    let sums = match Traversal::new(shape) {
        Traversal::Planes => planes::backward(shape, x, dy, mean, dx, gradient),
        Traversal::Rows(rows) => rows.backward(x, dy, mean, dx, gradient),
    };
    let dweight =
        sums.iter().zip(inv_std).map(|(sums, &inv_std)| (sums.sum_dy_x * f64::from(inv_std)) as f32);
    let dweight = dweight.collect();
    let dbias = sums.iter().map(|sums| sums.sum_dy as f32).collect();
    Ok((dweight, dbias))
}

fn check_parameters(shape: Shape, weight: Option<&[f32]>, bias: Option<&[f32]>) -> Result<(), BaselineError> {
    for (name, values) in [("weight", weight), ("bias", bias)] {
        if let Some(values) = values {
            check_channels(name, values.len(), shape.channels())?;
        }
    }
    Ok(())
}

fn check_count(shape: Shape) -> Result<(), BaselineError> {
    if shape.values_per_channel() == 1 { Err(BaselineError::OneValue) } else { Ok(()) }
}

/// The channel's value, or `otherwise` where there are none.
fn at(values: Option<&[f32]>, channel: usize, otherwise: f32) -> f32 {
    values.and_then(|values| values.get(channel)).copied().unwrap_or(otherwise)
}
