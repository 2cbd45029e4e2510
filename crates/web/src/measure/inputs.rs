//! What the passes are given, and how right their results are.

use fastrand::Rng;
use wgpu_batchnorm::reference::{self, Parameters, Problem};
use wgpu_batchnorm::{Layout, Options, Shape};
use wgpu_batchnorm_measure::accuracy::{Accuracy, Bounds, Worst, channel_of};

const SEED: u64 = 0x5eed;
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
        let bounds = Bounds::new(&problem, &forward, [&x, &dy, &[]]);
        let error = |result, got: &[f32], expected: &[f64], bounds: &[f64]| {
            let mut worst = Worst::default();
            worst.compare(result, expected, &gather(got), |i| bounds[channel_of(&shape, i)]);
            Accuracy::from(worst).error_over_bound
        };
        Ok([error("y", y, &forward.y, &bounds.y()), error("dx", dx, &backward.dx, &bounds.dx())])
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
