//! Seeded inputs: normal, each channel with its own offset and scale, so that no formula gets away with
//! a mean of 0, a variance of 1, a weight of 1 or a bias of 0.

use super::config::Config;
use fastrand::Rng;
use rayon::prelude::*;
use wgpu_batchnorm::{Context, Dtype, Layout, RunningValues, Shape, Tensor, UploadError};
use wgpu_batchnorm_measure::accuracy::channel_of;

const SEED: u64 = 0x5eed;
/// Values that share a generator: the same whatever the number of threads.
const BLOCK: usize = 1 << 14;
/// Of so many positions in a row, a mask hides one.
const HIDDEN: usize = 4;

/// The inputs of all passes.
pub(crate) struct Data {
    pub(crate) shape: Shape,
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    /// The residual, or the cotangent of dx in a double backward pass; empty if not asked for.
    pub(crate) extra: Vec<f32>,
    /// The positions that count, `n·S + s`, if not all.
    pub(crate) mask: Option<Vec<bool>>,
    /// Where a pass takes a gradient or cotangent of C values, it gets these two.
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    /// Before the step; its mean and variance are also those that are given.
    pub(crate) running: RunningValues,
}

impl Data {
    /// Of float32 numbers.
    pub(crate) fn new(shape: Shape, extra: bool, mask: bool) -> Self {
        let mut rng = Rng::with_seed(SEED);
        let mut between = |low: f32, high: f32| -> Vec<f32> {
            (0..shape.channels()).map(|_| low + (high - low) * rng.f32()).collect()
        };
        let (mean, scale) = (between(-2.0, 6.0), between(0.5, 2.0));
        let (weight, bias) = (between(0.25, 1.75), between(-1.0, 1.0));
        let running = RunningValues::new(between(-2.0, 6.0), between(0.25, 4.0), 0);
        let mut x = normals(shape.elements(), SEED + 1);
        x.par_chunks_mut(BLOCK).enumerate().for_each(|(block, values)| {
            for (i, value) in values.iter_mut().enumerate() {
                let channel = channel_of(&shape, block * BLOCK + i);
                *value = mean[channel] + scale[channel] * *value;
            }
        });
        let dy = normals(shape.elements(), SEED + 2);
        let extra = normals(if extra { shape.elements() } else { 0 }, SEED + 3);
        let mask = mask.then(|| shown(shape.values_per_channel()));
        Self { shape, x, dy, extra, mask, weight, bias, running }
    }

    /// What `config` needs, of numbers that its dtype has.
    pub(crate) fn of(
        context: &Context,
        shape: Shape,
        config: &Config,
        extra: bool,
    ) -> Result<Self, UploadError> {
        let mut data = Self::new(shape, extra || config.residual, config.mask);
        if config.dtype() != Dtype::F32 {
            for values in [&mut data.x, &mut data.dy, &mut data.extra] {
                if !values.is_empty() {
                    *values =
                        Tensor::upload_as(context, shape, config.dtype(), values)?.download_blocking()?;
                }
            }
        }
        Ok(data)
    }

    /// These samples alone.
    pub(crate) fn part(&self, samples: std::ops::Range<usize>) -> Result<Self, wgpu_batchnorm::ShapeError> {
        let (channels, spatial) = (self.shape.channels(), self.shape.spatial());
        let sizes = match self.shape.layout() {
            Layout::ChannelsFirst => [samples.len(), channels, spatial],
            Layout::ChannelsLast => [samples.len(), spatial, channels],
        };
        let positions = samples.start * spatial..samples.end * spatial;
        let elements = positions.start * channels..positions.end * channels;
        let of = |values: &[f32]| values.get(elements.clone()).unwrap_or_default().to_vec();
        let (x, dy, extra) = (of(&self.x), of(&self.dy), of(&self.extra));
        let mask = self.mask.as_ref().map(|mask| mask[positions].to_vec());
        let (weight, bias, running) = (self.weight.clone(), self.bias.clone(), self.running.clone());
        Ok(Self {
            shape: Shape::new(&sizes, self.shape.layout())?,
            x,
            dy,
            extra,
            mask,
            weight,
            bias,
            running,
        })
    }
}

/// A mask that hides one position of each [`HIDDEN`] in a row, not always the same one.
fn shown(positions: usize) -> Vec<bool> {
    let mut rng = Rng::with_seed(SEED + 4);
    let mut shown = vec![true; positions];
    shown.chunks_exact_mut(HIDDEN).for_each(|run| run[rng.usize(..HIDDEN)] = false);
    shown
}

/// Standard normal values, by Box and Muller.
fn normals(length: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; length];
    values.par_chunks_mut(BLOCK).enumerate().for_each(|(block, values)| {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ block as u64);
        for pair in values.chunks_mut(2) {
            // 1 − u is never 0, whose logarithm is infinite.
            let radius = (-2.0 * (1.0 - rng.f32()).ln()).sqrt();
            let (sin, cos) = (std::f32::consts::TAU * rng.f32()).sin_cos();
            pair.iter_mut().zip([cos, sin]).for_each(|(value, direction)| *value = radius * direction);
        }
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_show_three_quarters_and_never_nothing() {
        for positions in 2..70 {
            let hidden = shown(positions).into_iter().filter(|shown| !shown).count();
            assert_eq!(hidden, positions / HIDDEN);
        }
    }

    #[test]
    fn values_are_normal_and_repeat() {
        let values = normals(100_001, 7);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        assert_eq!(values, normals(100_001, 7));
        assert_ne!(values, normals(100_001, 8));
    }
}
