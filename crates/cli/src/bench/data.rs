//! Seeded inputs: normal, each channel with its own offset and scale, so that no formula gets away with
//! a mean of 0, a variance of 1, a weight of 1 or a bias of 0.

use fastrand::Rng;
use rayon::prelude::*;
use wgpu_batchnorm::{Layout, RunningValues, Shape};

const SEED: u64 = 0x5eed;
/// Values that share a generator: the same whatever the number of threads.
const BLOCK: usize = 1 << 14;

/// The inputs of a training step and of an evaluation.
pub(crate) struct Data {
    pub(crate) shape: Shape,
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    /// Before the step.
    pub(crate) running: RunningValues,
}

impl Data {
    pub(crate) fn new(shape: Shape) -> Self {
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
        Self { shape, x, dy, weight, bias, running }
    }
}

/// The channel of the element at `index` in memory.
pub(crate) fn channel_of(shape: &Shape, index: usize) -> usize {
    match shape.layout() {
        Layout::ChannelsFirst => index / shape.spatial() % shape.channels(),
        Layout::ChannelsLast => index % shape.channels(),
    }
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
    fn channels_are_found_in_both_layouts() -> Result<(), wgpu_batchnorm::ShapeError> {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let shape = match layout {
                Layout::ChannelsFirst => Shape::new(&[2, 3, 4], layout)?,
                Layout::ChannelsLast => Shape::new(&[2, 4, 3], layout)?,
            };
            for (n, c, s) in [(0, 0, 0), (1, 2, 3), (1, 0, 2), (0, 1, 3)] {
                assert_eq!(channel_of(&shape, shape.index(n, c, s)), c);
            }
        }
        Ok(())
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
