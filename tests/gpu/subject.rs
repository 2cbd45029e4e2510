//! One training or evaluation step on the device beside the reference in f64, and the bounds between them.

use libtest_mimic::Failed;
use wgpu_batchnorm::reference::{self, Parameters, Problem, Source};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BatchStatistics, BufferRange, Context, ForwardTensors, Layout,
    Mode, Momentum, Options, RunningStatistics, RunningValues, SavedStatistics, Shape, Tensor,
};

/// Half the distance from 1 to the next f32.
const EPSILON: f64 = 1.0 / (1u64 << 24) as f64;

/// Sizes that are not divisible by anything, at the ends of what is allowed, or fatal elsewhere; channels first.
pub(crate) const SIZES: &[&[usize]] = &[
    &[2, 1],
    &[2, 5, 1, 1],
    &[7, 1],
    &[32, 10],
    &[4, 6, 37],
    &[2, 3, 3, 5, 4],
    &[3, 65, 5, 3],
    &[64, 257, 7, 7],
    &[5, 130, 2, 2],
    &[1, 1, 1757],
    &[1, 3, 64, 65],
    &[300, 3, 5, 3],
    &[2, 16, 33, 31],
    &[1, 2, 8],
];

pub(crate) fn shape(channels_first: &[usize], layout: Layout) -> Shape {
    let mut sizes = channels_first.to_vec();
    if layout == Layout::ChannelsLast {
        sizes[1..].rotate_left(1);
    }
    Shape::new(&sizes, layout).expect("a valid shape")
}

/// Numbers that look random, the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn uniform(&mut self) -> f64 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub(crate) fn normals(&mut self, length: usize, mean: f64, deviation: f64) -> Vec<f32> {
        (0..length).map(|_| (mean + deviation * self.normal()) as f32).collect()
    }
}

/// The inputs of a step.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) shape: Shape,
    pub(crate) options: Options,
    pub(crate) mode: Mode,
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) running: RunningValues,
}

/// What a step gives.
pub(crate) struct Results {
    pub(crate) y: Vec<f32>,
    pub(crate) statistics: BatchStatistics,
    pub(crate) inv_std: Vec<f32>,
    pub(crate) running: Option<RunningValues>,
    pub(crate) dx: Vec<f32>,
    pub(crate) dweight: Vec<f32>,
    pub(crate) dbias: Vec<f32>,
}

impl Setup {
    /// Normal data of the given mean and deviation, all options on, training.
    pub(crate) fn new(shape: Shape, mean: f64, deviation: f64) -> Self {
        let mut random = Random(shape.elements() as u64 * 31 + shape.channels() as u64);
        let channels = shape.channels();
        Self {
            shape,
            options: Options::new(channels),
            mode: Mode::TRAINING,
            x: random.normals(shape.elements(), mean, deviation),
            dy: random.normals(shape.elements(), 0.1, 1.0),
            weight: random.normals(channels, 1.0, 0.3),
            bias: random.normals(channels, 0.0, 0.5),
            running: RunningValues {
                mean: random.normals(channels, mean, deviation),
                var: random.normals(channels, 0.0, 1.0).iter().map(|v| v * v + 0.1).collect(),
                num_batches_tracked: 3,
            },
        }
    }

    /// Replaces each value of x by a function of its channel, its place in the channel and itself.
    pub(crate) fn with_x(mut self, value: impl Fn(usize, usize, f32) -> f32) -> Self {
        let shape = self.shape;
        for n in 0..shape.samples() {
            for c in 0..shape.channels() {
                for s in 0..shape.spatial() {
                    let x = &mut self.x[shape.index(n, c, s)];
                    *x = value(c, n * shape.spatial() + s, *x);
                }
            }
        }
        self
    }

    pub(crate) fn run(&self, context: &Context) -> Result<Results, Failed> {
        let batch_norm = BatchNorm::new(context, self.options)?;
        let channels = self.shape.channels();
        let vector = Shape::new(&[1, channels], Layout::ChannelsLast)?;
        let x = Tensor::upload(context, self.shape, &self.x)?;
        let dy = Tensor::upload(context, self.shape, &self.dy)?;
        let weight = Tensor::upload(context, vector, &self.weight)?;
        let bias = Tensor::upload(context, vector, &self.bias)?;
        let running = RunningStatistics::upload(context, &self.running)?;
        let saved = SavedStatistics::new(context, channels)?;
        let (y, dx) = (Tensor::zeros(context, self.shape)?, Tensor::zeros(context, self.shape)?);
        let (dweight, dbias) = (Tensor::zeros(context, vector)?, Tensor::zeros(context, vector)?);
        let given = |wanted: bool, tensor: &Tensor| wanted.then(|| tensor.range().clone());
        let forward = ForwardTensors {
            x: x.range().clone(),
            y: y.range().clone(),
            weight: given(self.options.weight, &weight),
            bias: given(self.options.bias, &bias),
            running: self.options.running_statistics.then_some(&running),
            saved: &saved,
            workspace: None,
        };
        let backward = BackwardTensors {
            x: x.range().clone(),
            dy: dy.range().clone(),
            weight: given(self.options.weight, &weight),
            saved: &saved,
            dx: Some(dx.range().clone()),
            dweight: Some((dweight.range().clone(), Accumulation::Replace)),
            dbias: Some((dbias.range().clone(), Accumulation::Replace)),
            workspace: None,
        };
        let mut encoder = context.device().create_command_encoder(&Default::default());
        batch_norm.bind_forward(&self.shape, self.mode, &forward)?.record(&mut encoder)?;
        batch_norm.bind_backward(&self.shape, self.mode, &backward)?.record(&mut encoder)?;
        context.queue().submit([encoder.finish()]);
        let running = if self.options.running_statistics {
            Some(pollster::block_on(running.download(context))?)
        } else {
            None
        };
        Ok(Results {
            y: y.download_blocking()?,
            statistics: pollster::block_on(saved.download(context))?,
            inv_std: saved_plane(context, &saved, channels, 3)?,
            running,
            dx: dx.download_blocking()?,
            dweight: dweight.download_blocking()?,
            dbias: dbias.download_blocking()?,
        })
    }

    /// Runs the step, and compares everything it gives with the reference.
    pub(crate) fn check(&self, context: &Context) -> Result<(), Failed> {
        let results = self.run(context)?;
        self.compare(&results)
            .map_err(|error| format!("{} {:?} {:?}: {error}", self.shape, self.mode, self.options).into())
    }

    pub(crate) fn compare(&self, results: &Results) -> Result<(), String> {
        let shape = &self.shape;
        let parameters = Parameters {
            weight: self.options.weight.then_some(self.weight.as_slice()),
            bias: self.options.bias.then_some(self.bias.as_slice()),
            epsilon: self.options.eps,
        };
        let source = match self.mode.source {
            wgpu_batchnorm::Source::Batch => Source::Batch,
            _ => Source::Held { mean: &self.running.mean, variance: &self.running.var },
        };
        let text = |error: reference::ReferenceError| error.to_string();
        let problem = Problem::new(*shape, parameters, source);
        let forward = reference::forward(&problem, &self.x).map_err(text)?;
        let backward = reference::backward(&problem, &self.x, &self.dy).map_err(text)?;
        let [reference::Group { statistics, moments }] = forward.groups.as_slice() else {
            return Err("expected one group".into());
        };
        for c in 0..shape.channels() {
            let gamma = parameters.weight.map_or(1.0, |weight| f64::from(weight[c]));
            let beta = parameters.bias.map_or(0.0, |bias| f64::from(bias[c]));
            let (mean, variance, inverse_sigma) =
                (statistics.mean[c], statistics.variance[c], statistics.inverse_sigma[c]);
            let sigma = variance.sqrt();
            let values: Vec<(usize, f64, f64)> = (0..shape.samples())
                .flat_map(|n| (0..shape.spatial()).map(move |s| shape.index(n, c, s)))
                .map(|i| (i, (f64::from(self.x[i]) - mean) * inverse_sigma, f64::from(self.dy[i])))
                .collect();
            let count = values.len() as f64;
            let sum = |f: &dyn Fn(f64, f64) -> f64| {
                values.iter().map(|&(_, x_hat, dy)| f(x_hat, dy).abs()).sum::<f64>()
            };
            let max = |f: &dyn Fn(f64, f64) -> f64| {
                values.iter().map(|&(_, x_hat, dy)| f(x_hat, dy).abs()).fold(0.0, f64::max)
            };
            let (max_x_hat, max_dy) = (max(&|x_hat, _| x_hat), max(&|_, dy| dy));
            let (sum_dy, sum_dy_x_hat) = (sum(&|_, dy| dy), sum(&|x_hat, dy| dy * x_hat));

            let y_bound = 16.0 * EPSILON * ((gamma * max_x_hat).abs() + beta.abs());
            // The means of the gradient take part only if the statistics are the batch's.
            let means =
                if self.mode == Mode::TRAINING { (sum_dy + max_x_hat * sum_dy_x_hat) / count } else { 0.0 };
            let dx_bound = 32.0 * EPSILON * (gamma * inverse_sigma).abs() * (max_dy + means);
            for &(i, _, _) in &values {
                near(&format!("y[{i}]"), results.y[i], forward.y[i], y_bound)?;
                near(&format!("dx[{i}]"), results.dx[i], backward.dx[i], dx_bound)?;
            }
            near(&format!("dbias[{c}]"), results.dbias[c], backward.dbias[c], 8.0 * EPSILON * sum_dy)?;
            let dweight_bound = 16.0 * EPSILON * (sum_dy_x_hat + sum_dy);
            near(&format!("dweight[{c}]"), results.dweight[c], backward.dweight[c], dweight_bound)?;
            if let Some(moments) = moments {
                let mean_bound = 8.0 * EPSILON * sigma + 2.0 * EPSILON * mean.abs();
                near(&format!("mean[{c}]"), results.statistics.mean[c], mean, mean_bound)?;
                near(&format!("var[{c}]"), results.statistics.var[c], variance, 2e-6 * variance)?;
                self.compare_running(results, moments, c)?;
            } else if let Some(running) = &results.running {
                near("running_mean", running.mean[c], f64::from(self.running.mean[c]), 0.0)?;
                near("running_var", running.var[c], f64::from(self.running.var[c]), 0.0)?;
            }
        }
        let expected = self.running.num_batches_tracked + u32::from(self.mode == Mode::TRAINING);
        match &results.running {
            Some(running) if running.num_batches_tracked != expected => {
                Err(format!("num_batches_tracked is {}, expected {expected}", running.num_batches_tracked))
            }
            _ => Ok(()),
        }
    }

    fn compare_running(
        &self,
        results: &Results,
        moments: &reference::Moments,
        c: usize,
    ) -> Result<(), String> {
        let Some(running) = &results.running else { return Ok(()) };
        let take = match self.options.momentum {
            Momentum::MovingAverage(momentum) => momentum,
            Momentum::Cumulative => reference::cumulative_factor(self.running.num_batches_tracked.into()),
        };
        let count = moments.count as f64;
        let (mean, var) = (moments.mean[c], moments.m2[c] / (count - 1.0));
        let (old_mean, old_var) = (f64::from(self.running.mean[c]), f64::from(self.running.var[c]));
        let blend = |old: f64, new: f64| (1.0 - take) * old + take * new;
        let bound = |old: f64, new: f64| 4.0 * EPSILON * (((1.0 - take) * old).abs() + (take * new).abs());
        let sigma = var.sqrt();
        let mean_bound = bound(old_mean, mean) + 8.0 * EPSILON * take * sigma;
        near(&format!("running_mean[{c}]"), running.mean[c], blend(old_mean, mean), mean_bound)?;
        let var_bound = bound(old_var, var) + 2e-6 * take * var;
        near(&format!("running_var[{c}]"), running.var[c], blend(old_var, var), var_bound)
    }
}

/// Fails unless `got` is within `bound` of `expected`, both finite, or both are not.
pub(crate) fn near(what: &str, got: f32, expected: f64, bound: f64) -> Result<(), String> {
    let error = (f64::from(got) - expected).abs();
    let passes = if expected.is_finite() { error <= bound } else { !got.is_finite() };
    if passes {
        Ok(())
    } else {
        Err(format!("{what} is {got:e}, expected {expected:e} within {bound:e}, off by {error:e}"))
    }
}

/// One plane of the saved statistics.
pub(crate) fn saved_plane(
    context: &Context,
    saved: &SavedStatistics,
    channels: usize,
    plane: usize,
) -> Result<Vec<f32>, Failed> {
    let all = download(context, saved.range())?;
    Ok(all[plane * channels..(plane + 1) * channels].to_vec())
}

/// The contents of a range of the caller's, the way a caller reads them.
pub(crate) fn download(context: &Context, range: &BufferRange) -> Result<Vec<f32>, Failed> {
    let device = context.device();
    let usage = wgpu_batchnorm::wgpu::BufferUsages::MAP_READ | wgpu_batchnorm::wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu_batchnorm::wgpu::BufferDescriptor {
        label: None,
        size: range.size,
        usage,
        mapped_at_creation: false,
    };
    let staging = device.create_buffer(&descriptor);
    let mut encoder = device.create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(&range.buffer, range.offset, &staging, 0, range.size);
    context.queue().submit([encoder.finish()]);
    staging.map_async(wgpu_batchnorm::wgpu::MapMode::Read, .., |_| {});
    device.poll(wgpu_batchnorm::wgpu::PollType::wait_indefinitely())?;
    Ok(bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..)?))
}
