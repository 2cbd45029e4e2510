//! Passes in training on the page's device, beside a kernel that only copies: first whether they are right, then how
//! fast they come.

use anyhow::Context as _;
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wgpu_batchnorm::reference::{self, Parameters, Problem};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BoundOperation, Context, DeviceKind, ForwardTensors, Layout,
    Mode, Options, RunningStatistics, RunningValues, Shape, Tensor, Vector, wgpu,
};
use wgpu_batchnorm_measure::copy::Copier;
use wgpu_batchnorm_measure::timer::Timer;
use wgpu_batchnorm_report::chart::{Bar, BarChart, BarGroup, ChartError};
use wgpu_batchnorm_report::{Summary, unit};

/// The sets of shapes that all programs of the benchmark share.
const SETS: &str = include_str!("../../../benches/shapes.json");
const SEED: u64 = 0x5eed;
const EPSILON: f64 = 1.0 / (1 << 24) as f64;
/// 64 MiB of float32.
pub const MOST_ELEMENTS: usize = 1 << 24;
/// Elements that are compared with the reference at most: whole channels, the first and the last among them.
const MOST_CHECKED: usize = 1 << 18;
/// A browser's clocks tick in tenths of a millisecond, and its answers take some.
const LEAST_SECONDS: f64 = 0.02;
const MOST_REPEATS: f64 = 400.0;
const REPETITIONS: usize = 7;
/// A read and a write.
const COPY_MOVES: f64 = 2.0;

/// A set in the file.
#[derive(Deserialize)]
struct Set {
    /// N of all shapes on a CPU adapter, if not theirs.
    batch_on_cpu: Option<usize>,
    shapes: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    sizes: Vec<usize>,
}

/// The shapes of a set of `benches/shapes.json`: N, C and the spatial sizes, with N halved until a tensor has at most
/// [`MOST_ELEMENTS`], because a page may take less memory than a program.
///
/// # Errors
/// If there is no such set.
pub fn shapes(set: &str, kind: DeviceKind) -> anyhow::Result<Vec<Vec<usize>>> {
    let mut sets: BTreeMap<String, Set> = serde_json::from_str(SETS)?;
    let names: Vec<_> = sets.keys().cloned().collect();
    let Set { batch_on_cpu, shapes } =
        sets.remove(set).with_context(|| format!("there is no set {set:?}, expected one of {names:?}"))?;
    let batch = batch_on_cpu.filter(|_| kind == DeviceKind::Cpu);
    let with_batch = |Listed { mut sizes }: Listed| {
        if let (Some(samples), Some(batch)) = (sizes.first_mut(), batch) {
            *samples = batch;
        }
        while sizes.iter().product::<usize>() > MOST_ELEMENTS && sizes[0] > 1 {
            sizes[0] /= 2;
        }
        sizes
    };
    Ok(shapes.into_iter().map(with_batch).collect())
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// N×C×…
    pub shape: String,
    /// `copy`, `forward` or `backward`.
    pub pass: &'static str,
    /// Reads and writes of the full tensor.
    pub moves: f64,
    /// Milliseconds of one pass.
    pub time: Summary,
    /// Moves times the bytes of the tensor, by the time.
    pub bytes_per_second: f64,
    /// Of the copy kernel's bytes per second.
    pub share_of_copy: f64,
    /// The largest error over its bound; none of the copy.
    pub error_over_bound: Option<f64>,
}

/// A device with what it is measured by.
pub struct Bench {
    context: Context,
    copier: Copier,
    timer: Timer,
}

/// Records what is timed.
type Record<'a> = dyn Fn(&mut wgpu::ComputePass<'_>) -> anyhow::Result<()> + 'a;

/// Something that is timed.
struct Timed<'a> {
    pass: &'static str,
    moves: f64,
    record: Box<Record<'a>>,
    repeats: u32,
    seconds: Vec<f64>,
}

impl Bench {
    /// Finds out which clock to trust.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn new(context: &Context) -> anyhow::Result<Self> {
        let copier = Copier::new(context);
        let timer = Timer::new(context, &copier).await?;
        Ok(Self { context: context.clone(), copier, timer })
    }

    /// Where times come from.
    pub fn clock(&self) -> String {
        self.timer.clock().to_string()
    }

    /// Checks both passes in training on a shape, then times them and the copy, in rounds.
    ///
    /// # Errors
    /// If the shape does not fit the device, or the device fails.
    pub async fn measure(&self, sizes: &[usize]) -> anyhow::Result<Vec<Row>> {
        let shape = Shape::new(sizes, Layout::ChannelsFirst)?;
        let Subject { forward, backward, x, y, errors, .. } = &Subject::new(&self.context, shape).await?;
        let mut timed: Vec<_> = self
            .copier
            .bind(x.range(), y.range())
            .into_iter()
            .map(|copy| {
                Timed::new("copy", COPY_MOVES, move |pass| {
                    copy.record(pass);
                    Ok(())
                })
            })
            .collect();
        timed.push(Timed::of("forward", forward));
        timed.push(Timed::of("backward", backward));
        for timed in &mut timed {
            timed.warm_up(&self.timer).await?;
        }
        for _ in 0..REPETITIONS {
            for timed in &mut timed {
                timed.seconds.push(self.timer.time(timed.repeats, &*timed.record).await?);
            }
        }
        Ok(rows(&shape, sizes, &timed, *errors))
    }
}

impl<'a> Timed<'a> {
    fn new(
        pass: &'static str,
        moves: f64,
        record: impl Fn(&mut wgpu::ComputePass<'_>) -> anyhow::Result<()> + 'a,
    ) -> Self {
        Self { pass, moves, record: Box::new(record), repeats: 1, seconds: Vec::new() }
    }

    fn of(pass: &'static str, operation: &'a BoundOperation) -> Self {
        Self::new(pass, operation.plan().moves(), |recorder| Ok(operation.record(recorder)?))
    }

    /// Runs it until it is warm, and decides how often a measurement repeats it.
    async fn warm_up(&mut self, timer: &Timer) -> anyhow::Result<()> {
        timer.time(1, &*self.record).await?;
        let seconds = timer.time(1, &*self.record).await?;
        // A clock of tenths of milliseconds may say 0.
        self.repeats = (LEAST_SECONDS / seconds.max(1e-6)).ceil().clamp(1.0, MOST_REPEATS) as u32;
        Ok(())
    }
}

fn rows(shape: &Shape, sizes: &[usize], timed: &[Timed<'_>], errors: [f64; 2]) -> Vec<Row> {
    let tensor_bytes = (shape.elements() * size_of::<f32>()) as f64;
    let row = |timed: &Timed<'_>, error_over_bound| {
        let time = Summary::of(&timed.seconds);
        let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
        Row {
            shape: sizes.join("×"),
            pass: timed.pass,
            moves: timed.moves,
            time,
            bytes_per_second: timed.moves * tensor_bytes / (time.median_ms * 1e-3),
            share_of_copy: 0.0,
            error_over_bound,
        }
    };
    let is_copy = |timed: &&Timed<'_>| timed.pass == "copy";
    let copies = timed.iter().filter(is_copy).map(|timed| row(timed, None));
    // The best variant counts.
    let Some(copy) = copies.max_by(|a, b| a.bytes_per_second.total_cmp(&b.bytes_per_second)) else {
        return Vec::new();
    };
    let limit = copy.bytes_per_second;
    let passes = timed.iter().filter(|timed| !is_copy(timed)).zip(errors);
    let passes = passes.map(|(timed, error)| row(timed, Some(error)));
    let with_share = |row: Row| Row { share_of_copy: row.bytes_per_second / limit, ..row };
    std::iter::once(copy).chain(passes).map(with_share).collect()
}

/// The bars of the passes: their share of the copy's bandwidth.
///
/// # Errors
/// [`ChartError`] if there is none.
pub fn chart(rows: &[Row], width: u32) -> Result<String, ChartError> {
    let mut groups: Vec<BarGroup> = Vec::new();
    for row in rows.iter().filter(|row| row.pass != "copy") {
        let bar = Bar {
            color: usize::from(row.pass == "backward"),
            value: row.share_of_copy,
            text: format!(
                "{} · {}",
                unit::percent(row.share_of_copy),
                unit::milliseconds(row.time.median_ms)
            ),
        };
        match groups.last_mut().filter(|group| group.label == row.shape) {
            Some(group) => group.bars.push(bar),
            None => groups.push(BarGroup { label: row.shape.clone(), bars: vec![bar] }),
        }
    }
    let chart = BarChart {
        name: "Bandwidth of the passes, as a share of a copy's".to_owned(),
        label: "share of a copy's bandwidth".to_owned(),
        tick: |share| format!("{:.0} %", share * 100.0),
        groups,
        limit: Some(1.0),
    };
    chart.svg_of_width(width.clamp(340, 1200))
}

/// Both passes in training, bound, with the errors of what they computed.
struct Subject {
    forward: BoundOperation,
    backward: BoundOperation,
    x: Tensor,
    y: Tensor,
    /// Of y and dx, the largest error over its bound.
    errors: [f64; 2],
}

impl Subject {
    async fn new(context: &Context, shape: Shape) -> anyhow::Result<Self> {
        let inputs = Inputs::new(shape);
        let batch_norm = BatchNorm::new(context, Options::new(shape.channels()))?;
        let (x, dy) =
            (Tensor::upload(context, shape, &inputs.x)?, Tensor::upload(context, shape, &inputs.dy)?);
        let (y, dx) = (Tensor::zeros(context, shape)?, Tensor::zeros(context, shape)?);
        let vector = |values: &[f32]| Vector::upload(context, values).map(|vector| vector.range().clone());
        let zeros = vec![0.0; shape.channels()];
        let running = RunningStatistics::upload(context, &RunningValues::start(shape.channels()))?;
        let saved = batch_norm.saved_statistics(&shape)?;
        let range = |tensor: &Tensor| tensor.range().clone();
        let forward = ForwardTensors {
            weight: Some(vector(&inputs.weight)?),
            bias: Some(vector(&inputs.bias)?),
            running: Some(&running),
            ..ForwardTensors::new(range(&x), range(&y), &saved)
        };
        let forward = batch_norm.bind_forward(&shape, Mode::TRAINING, &forward)?;
        let backward = BackwardTensors {
            dx: Some(range(&dx)),
            dweight: Some((vector(&zeros)?, Accumulation::Replace)),
            dbias: Some((vector(&zeros)?, Accumulation::Replace)),
            ..BackwardTensors::new(range(&x), range(&dy), &saved)
        };
        let backward = batch_norm.bind_backward(&shape, Mode::TRAINING, &backward)?;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("measure") };
        let mut encoder = context.device().create_command_encoder(&descriptor);
        forward.record(&mut encoder)?;
        backward.record(&mut encoder)?;
        context.queue().submit([encoder.finish()]);
        let errors = inputs.errors(&y.download().await?, &dx.download().await?)?;
        Ok(Self { forward, backward, x, y, errors })
    }
}

/// Normal values, each channel with its own offset and scale, so that no formula gets away with a mean of 0 or a
/// variance of 1.
struct Inputs {
    shape: Shape,
    x: Vec<f32>,
    dy: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Inputs {
    fn new(shape: Shape) -> Self {
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
    fn errors(&self, y: &[f32], dx: &[f32]) -> anyhow::Result<[f64; 2]> {
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
    fn sets_of_shapes_are_known() -> anyhow::Result<()> {
        let quick = shapes("quick", DeviceKind::Gpu)?;
        assert!(
            quick.len() >= 3 && quick.iter().all(|sizes| Shape::new(sizes, Layout::ChannelsFirst).is_ok())
        );
        for set in ["quick", "resnet50"] {
            let all = shapes(set, DeviceKind::Gpu)?;
            assert!(all.iter().all(|sizes| sizes.iter().product::<usize>() <= MOST_ELEMENTS), "{all:?}");
        }
        let error = shapes("slow", DeviceKind::Gpu).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("quick")));
        Ok(())
    }

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

    #[test]
    fn shares_are_of_the_fastest_copy() -> anyhow::Result<()> {
        let shape = Shape::new(&[1, 1, 1000], Layout::ChannelsFirst)?;
        let timed =
            |pass, moves, seconds| Timed { seconds: vec![seconds], ..Timed::new(pass, moves, |_| Ok(())) };
        let all = [
            timed("copy", 2.0, 4e-6),
            timed("copy", 2.0, 2e-6),
            timed("forward", 3.0, 6e-6),
            timed("backward", 5.0, 5e-6),
        ];
        let rows = rows(&shape, &[1, 1, 1000], &all, [0.1, 0.2]);
        assert_eq!(rows.iter().map(|row| row.pass).collect::<Vec<_>>(), ["copy", "forward", "backward"]);
        let shares: Vec<_> = rows.iter().map(|row| (row.share_of_copy * 1000.0).round()).collect();
        assert_eq!(shares, [1000.0, 500.0, 1000.0]);
        assert!(chart(&rows, 500)?.contains("1×1×1000"));
        Ok(())
    }
}
