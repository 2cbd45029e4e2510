//! What the passes are given, and how right their results are.

use anyhow::Context as _;
use fastrand::Rng;
use wgpu_batchnorm::reference::{self, Parameters, Problem};
use wgpu_batchnorm::{Layout, Options, Shape};

const SEED: u64 = 0x5eed;
const EPSILON: f64 = 1.0 / (1 << 24) as f64;
/// Elements that are compared with the reference at most: whole channels, the first and the last among them.
const MOST_CHECKED: usize = 1 << 18;

/// Normal values, each channel with its own offset and scale, so that no formula gets away with a mean of 0 or a
/// variance of 1.
pub(super) struct Inputs {
    shape: Shape,
    pub(super) x: Vec<f32>,
    pub(super) dy: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Inputs {
    pub(super) fn new(shape: Shape) -> Self {
        let mut rng = Rng::with_seed(SEED);
        let mut between = |low: f32, high: f32| -> Vec<f32> {
            (0..shape.channels()).map(|_| low + (high - low) * rng.f32()).collect()
        };
        let (mean, scale) = (between(-2.0, 6.0), between(0.5, 2.0));
        let (weight, bias) = (between(0.25, 1.75), between(-1.0, 1.0));
        // The sum of four uniform numbers is near enough to normal, and quick to make.
        let mut normal = || ((0..4).map(|_| rng.f32()).sum::<f32>() - 2.0) * 3f32.sqrt();
        let spatial = shape.spatial();
        let mut x = Vec::with_capacity(shape.elements());
        for _ in 0..shape.samples() {
            for (mean, scale) in mean.iter().zip(&scale) {
                x.extend((0..spatial).map(|_| mean + scale * normal()));
            }
        }
        let dy = (0..shape.elements()).map(|_| normal()).collect();
        Self { shape, x, dy, weight, bias }
    }

    /// The largest errors of y and dx over the bounds of the accuracy promise, against the reference in f64, in as many
    /// whole channels as [`MOST_CHECKED`] allows.
    pub(super) fn errors(&self, y: &[f32], dx: &[f32]) -> anyhow::Result<[f64; 2]> {
        let (samples, channels, spatial) =
            (self.shape.samples(), self.shape.channels(), self.shape.spatial());
        let count = (MOST_CHECKED / (samples * spatial)).clamp(1, channels);
        let checked: Vec<_> = (0..count).map(|i| i * (channels - 1) / (count - 1).max(1)).collect();
        let row = |n: usize, c: usize| (n * channels + c) * spatial..(n * channels + c + 1) * spatial;
        let gather = |values: &[f32]| -> Vec<f32> {
            let rows = (0..samples).flat_map(|n| checked.iter().map(move |&c| row(n, c)));
            rows.filter_map(|row| values.get(row)).flatten().copied().collect()
        };
        let per_channel =
            |values: &[f32]| -> Vec<f32> { checked.iter().filter_map(|&c| values.get(c)).copied().collect() };
        let (weight, bias) = (per_channel(&self.weight), per_channel(&self.bias));
        let (x, dy) = (gather(&self.x), gather(&self.dy));
        let shape = Shape::new(&[samples, count, spatial], Layout::ChannelsFirst)?;
        let epsilon = Options::new(count).eps;
        let parameters = Parameters { weight: Some(&weight), bias: Some(&bias), epsilon };
        let problem = Problem::new(shape, parameters, reference::Source::Batch);
        let forward = reference::forward(&problem, &x)?;
        let backward = reference::backward(&problem, &x, &dy)?;
        let statistics = &forward.groups.first().context("the reference has no statistics")?.statistics;

        let mut worst = [0.0f64; 2];
        let (y, dx) = (gather(y), gather(dx));
        let m = (samples * spatial) as f64;
        for c in 0..count {
            let elements =
                || (0..samples).flat_map(move |n| (n * count + c) * spatial..(n * count + c + 1) * spatial);
            let largest = |of: &dyn Fn(usize) -> f64| elements().map(of).fold(0.0, f64::max);
            let sum = |of: &dyn Fn(usize) -> f64| elements().map(of).sum::<f64>();
            let x_hat =
                |i: usize| ((f64::from(x[i]) - statistics.mean[c]) * statistics.inverse_sigma[c]).abs();
            let d = |i: usize| f64::from(dy[i]).abs();
            let (weight, bias) = (f64::from(weight[c]).abs(), f64::from(bias[c]).abs());
            let of_y = 16.0 * EPSILON * (weight * largest(&x_hat) + bias);
            let through = (sum(&d) + largest(&x_hat) * sum(&|i| d(i) * x_hat(i))) / m;
            let of_dx = 32.0 * EPSILON * weight * statistics.inverse_sigma[c] * (largest(&d) + through);
            let results = [(&y, &forward.y, of_y), (&dx, &backward.dx, of_dx)];
            for (worst, (got, expected, bound)) in worst.iter_mut().zip(results) {
                let error = |i: usize| (f64::from(got[i]) - expected[i]).abs();
                // A NaN is the worst of all, and `max` would lose it.
                let is_lost = elements().any(|i| error(i).is_nan());
                *worst = if is_lost { f64::INFINITY } else { worst.max(largest(&error) / bound) };
            }
        }
        Ok(worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_in_the_channels_that_are_checked() -> anyhow::Result<()> {
        let shape = Shape::new(&[3, 4, 5], Layout::ChannelsFirst)?;
        let inputs = Inputs::new(shape);
        let parameters = Parameters { weight: Some(&inputs.weight), bias: Some(&inputs.bias), epsilon: 1e-5 };
        let problem = Problem::new(shape, parameters, reference::Source::Batch);
        let rounded = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<_>>();
        let mut y = rounded(reference::forward(&problem, &inputs.x)?.y);
        let dx = rounded(reference::backward(&problem, &inputs.x, &inputs.dy)?.dx);
        let right = inputs.errors(&y, &dx)?;
        assert!(right.iter().all(|error| (0.0..0.5).contains(error)), "{right:?}");
        y[17] += 1e-4;
        let wrong = inputs.errors(&y, &dx)?;
        assert!(wrong[0] > 1.0 && wrong[1] == right[1], "{wrong:?}");
        y[17] = f32::NAN;
        assert_eq!(inputs.errors(&y, &dx)?[0], f64::INFINITY);
        Ok(())
    }
}
