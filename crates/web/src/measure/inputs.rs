//! What the passes are given, and how right their results are.

use fastrand::Rng;
use wgpu_batchnorm::reference::{self, Parameters, Problem};
use wgpu_batchnorm::{Options, Shape};
use wgpu_batchnorm_measure::accuracy::{Accuracy, Bounds, CheckedChannels, Worst, channel_of};

const SEED: u64 = 0x5eed;
/// Elements of a tensor that are compared with the reference, as far as whole channels allow.
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

    /// How right the results of the forward and of the backward pass are, by the f64 reference, in as many whole channels
    /// as [`MOST_CHECKED`] allows.
    pub(super) fn judge(&self, results: &Results) -> anyhow::Result<[Accuracy; 2]> {
        let checked = CheckedChannels::of(self.shape, MOST_CHECKED)?;
        let shape = *checked.shape();
        let (weight, bias) = (checked.pick(&self.weight), checked.pick(&self.bias));
        let (x, dy) = (checked.gather(&self.x), checked.gather(&self.dy));
        let epsilon = Options::new(shape.channels()).eps;
        let parameters = Parameters { weight: Some(&weight), bias: Some(&bias), epsilon };
        let problem = Problem::new(shape, parameters, reference::Source::Batch);
        let forward = reference::forward(&problem, &x)?;
        let backward = reference::backward(&problem, &x, &dy)?;
        let bounds = Bounds::new(&problem, &forward, [&x, &dy, &[]]);
        let mut worst = [Worst::default(), Worst::default()];
        let [of_forward, of_backward] = &mut worst;
        let full = |worst: &mut Worst, name, expected: &[f64], got: &[f32], bounds: Vec<f64>| {
            worst.compare(name, expected, &checked.gather(got), |i| bounds[channel_of(&shape, i)]);
        };
        full(of_forward, "y", &forward.y, &results.y, bounds.y());
        full(of_backward, "dx", &backward.dx, &results.dx, bounds.dx());
        for (name, expected, got, bounds) in [
            ("dweight", &backward.dweight, &results.dweight, bounds.dweight()),
            ("dbias", &backward.dbias, &results.dbias, bounds.dbias()),
        ] {
            of_backward.compare(name, expected, &checked.pick(got), |c| bounds[c]);
        }
        Ok(worst.map(Accuracy::from))
    }
}

/// What both passes have left.
#[derive(Clone)]
pub(super) struct Results {
    pub(super) y: Vec<f32>,
    pub(super) dx: Vec<f32>,
    pub(super) dweight: Vec<f32>,
    pub(super) dbias: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use wgpu_batchnorm::Layout;

    /// What a perfect implementation in float32 leaves.
    fn perfect(inputs: &Inputs) -> anyhow::Result<Results> {
        let parameters = Parameters { weight: Some(&inputs.weight), bias: Some(&inputs.bias), epsilon: 1e-5 };
        let problem = Problem::new(inputs.shape, parameters, reference::Source::Batch);
        let rounded = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<_>>();
        let backward = reference::backward(&problem, &inputs.x, &inputs.dy)?;
        Ok(Results {
            y: rounded(reference::forward(&problem, &inputs.x)?.y),
            dx: rounded(backward.dx),
            dweight: rounded(backward.dweight),
            dbias: rounded(backward.dbias),
        })
    }

    /// Spoils the last value of one result.
    type Spoil = fn(&mut Results) -> Option<&mut f32>;

    #[test]
    fn errors_are_found_in_the_last_channel() -> anyhow::Result<()> {
        // Of the second shape not all channels are checked.
        for sizes in [[3, 4, 5], [2, 5, MOST_CHECKED / 4]] {
            let inputs = Inputs::new(Shape::new(&sizes, Layout::ChannelsFirst)?);
            let right = perfect(&inputs)?;
            assert!(inputs.judge(&right)?.iter().all(|accuracy| accuracy.error_over_bound < 0.5));
            let spoils: [(usize, &str, Spoil); 4] = [
                (0, "y", |results| results.y.last_mut()),
                (1, "dx", |results| results.dx.last_mut()),
                (1, "dweight", |results| results.dweight.last_mut()),
                (1, "dbias", |results| results.dbias.last_mut()),
            ];
            for (pass, name, spoil) in spoils {
                for wrong in [|value: f32| value * 1.1 + 0.1, |_| f32::NAN] {
                    let mut results = right.clone();
                    let value = spoil(&mut results).context("a value")?;
                    *value = wrong(*value);
                    let found = inputs.judge(&results)?;
                    assert!(!found[pass].passed && found[pass].result == name, "{name}: {found:?}");
                    assert!(found[1 - pass].passed, "{name}: {found:?}");
                }
            }
        }
        Ok(())
    }
}
