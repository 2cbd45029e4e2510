//! A batch in parts, one for each replica, and what the reference makes of the whole.

use crate::Failure;
use wgpu_batchnorm::reference::{self, Parameters, Problem, Source};
use wgpu_batchnorm::{Layout, Options, Shape};

/// Half a unit in the last place of 1 in f32, the unit of all bounds.
const EPSILON: f64 = 1.0 / (1u64 << 24) as f64;

/// What one replica has of a batch: nothing, or samples of a size and layout of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) samples: usize,
    pub(crate) spatial: usize,
    pub(crate) layout: Layout,
}

impl Part {
    pub(crate) const fn new(samples: usize, spatial: usize) -> Self {
        Self { samples, spatial, layout: Layout::ChannelsFirst }
    }

    /// The same, channels last.
    pub(crate) const fn last(self) -> Self {
        Self { layout: Layout::ChannelsLast, ..self }
    }

    fn positions(self) -> usize {
        self.samples * self.spatial
    }
}

/// The whole batch, position by position: `[M, C]`.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) parts: Vec<Part>,
    pub(crate) options: Options,
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) running_mean: Vec<f32>,
    pub(crate) running_var: Vec<f32>,
}

/// What all replicas have computed of a batch, position by position.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) y: Vec<f32>,
    pub(crate) dx: Vec<f32>,
    pub(crate) per_channel: PerChannel,
}

/// What every replica has of all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerChannel {
    pub(crate) dweight: Vec<f32>,
    pub(crate) dbias: Vec<f32>,
    pub(crate) mean: Vec<f32>,
    pub(crate) var: Vec<f32>,
    pub(crate) running_mean: Vec<f32>,
    pub(crate) running_var: Vec<f32>,
    pub(crate) count: f32,
}

impl PerChannel {
    /// Everything, to be compared bit for bit.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { dweight, dbias, mean, var, running_mean, running_var, count } = self;
        let planes = [dweight, dbias, mean, var, running_mean, running_var];
        planes.into_iter().flatten().chain([count]).flat_map(|value| value.to_le_bytes()).collect()
    }
}

impl Batch {
    /// One with this mean and standard deviation, the same on each replica.
    pub(crate) fn new(parts: Vec<Part>, channels: usize, mean: f32, deviation: f32) -> Self {
        let mut random = fastrand::Rng::with_seed(42);
        // Near enough to normal.
        let mut value = move |mean: f32, deviation: f32| {
            let sum: f32 = (0..6).map(|_| random.f32() - 0.5).sum();
            mean + deviation * sum * std::f32::consts::SQRT_2
        };
        let positions: usize = parts.iter().map(|part| part.positions()).sum();
        let mut values = |count: usize, mean, deviation| -> Vec<f32> {
            (0..count).map(|_| value(mean, deviation)).collect()
        };
        Self {
            x: values(positions * channels, mean, deviation),
            dy: values(positions * channels, 0.1, 1.0),
            weight: values(channels, 1.0, 0.5),
            bias: values(channels, 0.0, 0.5),
            running_mean: values(channels, 0.0, 1.0),
            running_var: values(channels, 2.0, 0.1),
            options: Options::new(channels),
            parts,
        }
    }

    pub(crate) fn channels(&self) -> usize {
        self.options.channels
    }

    /// The first position of a replica's part.
    fn start(&self, rank: usize) -> usize {
        self.parts.iter().take(rank).map(|part| part.positions()).sum()
    }

    /// The shape of a replica's part; nothing if it has no samples.
    pub(crate) fn shape(&self, rank: usize) -> Result<Option<Shape>, Failure> {
        let Part { samples, spatial, layout } = self.parts[rank];
        if samples == 0 {
            return Ok(None);
        }
        let sizes = match layout {
            Layout::ChannelsFirst => [samples, self.channels(), spatial],
            Layout::ChannelsLast => [samples, spatial, self.channels()],
        };
        Ok(Some(Shape::new(&sizes, layout)?))
    }

    /// For each element of the whole batch's part: where it lies in the replica's tensor, and in the batch.
    fn places(&self, rank: usize) -> Result<Vec<(usize, usize)>, Failure> {
        let Some(shape) = self.shape(rank)? else { return Ok(Vec::new()) };
        let (channels, spatial, start) = (self.channels(), shape.spatial(), self.start(rank));
        let place = |position: usize, c: usize| {
            let here = shape.index(position / spatial, c, position % spatial);
            (here, (start + position) * channels + c)
        };
        let positions = 0..self.parts[rank].positions();
        Ok(positions.flat_map(|position| (0..channels).map(move |c| place(position, c))).collect())
    }

    /// A replica's part of values of the whole batch, in its layout.
    pub(crate) fn part(&self, rank: usize, values: &[f32]) -> Result<Vec<f32>, Failure> {
        let places = self.places(rank)?;
        let mut part = vec![0.0; places.len()];
        for (here, there) in places {
            part[here] = values[there];
        }
        Ok(part)
    }

    /// Puts a replica's part where it belongs in the whole batch.
    pub(crate) fn put(&self, rank: usize, part: &[f32], whole: &mut Vec<f32>) -> Result<(), Failure> {
        whole.resize(self.x.len(), 0.0);
        for (here, there) in self.places(rank)? {
            whole[there] =
                *part.get(here).ok_or_else(|| format!("replica {rank} has {} values", part.len()))?;
        }
        Ok(())
    }

    /// Fails unless the results are those of the whole batch, within the bounds of `tests/cases/bounds.py`.
    pub(crate) fn compare(&self, results: &Results) -> Result<(), Failure> {
        let channels = self.channels();
        let positions = self.x.len() / channels;
        let shape = Shape::new(&[positions, channels], Layout::ChannelsLast)?;
        let parameters =
            Parameters { weight: Some(&self.weight), bias: Some(&self.bias), epsilon: self.options.eps };
        let problem = Problem::new(shape, parameters, Source::Batch);
        let forward = reference::forward(&problem, &self.x)?;
        let backward = reference::backward(&problem, &self.x, &self.dy)?;
        let group = forward.groups.first().ok_or("the reference has no group")?;
        let m = positions as f64;
        let near = |what: &str, c: usize, got: f32, expected: f64, bound: f64| {
            let error = (f64::from(got) - expected).abs();
            // What is not finite on one device is not finite here either.
            let passes = if expected.is_finite() { error <= bound } else { !got.is_finite() };
            if passes {
                return Ok(());
            }
            Err(Failure::from(format!(
                "{:?}: {what} of channel {c} is {got}, expected {expected}: error {error:e}, bound {bound:e}",
                self.parts
            )))
        };
        let all = &results.per_channel;
        near("count", 0, all.count, m, EPSILON * m)?;
        for c in 0..channels {
            let (mean, variance) = (group.statistics.mean[c], group.statistics.variance[c]);
            let inverse = group.statistics.inverse_sigma[c];
            let (gamma, beta) = (f64::from(self.weight[c]).abs(), f64::from(self.bias[c]).abs());
            let places = || (0..positions).map(|position| position * channels + c);
            let h = |i: usize| ((f64::from(self.x[i]) - mean) * inverse).abs();
            let d = |i: usize| f64::from(self.dy[i]).abs();
            let most = |f: &dyn Fn(usize) -> f64| places().map(f).fold(0.0, f64::max);
            let sum = |f: &dyn Fn(usize) -> f64| places().map(f).sum::<f64>();
            let along = |i: usize| d(i) * h(i);
            let y_bound = 16.0 * EPSILON * (gamma * most(&h) + beta);
            let reach = most(&d) + (sum(&d) + most(&h) * sum(&along)) / m;
            let dx_bound = 32.0 * EPSILON * gamma * inverse * reach;
            for i in places() {
                near("y", c, results.y[i], forward.y[i], y_bound)?;
                near("dx", c, results.dx[i], backward.dx[i], dx_bound)?;
            }
            near("dbias", c, all.dbias[c], backward.dbias[c], 8.0 * EPSILON * sum(&d))?;
            let dweight_bound = 8.0 * EPSILON * sum(&|i| d(i) * (1.0 + h(i)));
            near("dweight", c, all.dweight[c], backward.dweight[c], dweight_bound)?;
            let mean_bound = 8.0 * EPSILON * variance.sqrt() + 2.0 * EPSILON * mean.abs();
            near("mean", c, all.mean[c], mean, mean_bound)?;
            near("variance", c, all.var[c], variance, 2e-6 * variance)?;
            let (share, unbiased) = (0.1, variance * m / (m - 1.0));
            for (what, got, old, new, error) in [
                ("running mean", all.running_mean[c], self.running_mean[c], mean, mean_bound),
                ("running variance", all.running_var[c], self.running_var[c], unbiased, 2e-6 * unbiased),
            ] {
                let (old, new) = ((1.0 - share) * f64::from(old), share * new);
                let bound = 4.0 * EPSILON * (old.abs() + new.abs()) + share * error;
                near(what, c, got, old + new, bound)?;
            }
        }
        Ok(())
    }
}
