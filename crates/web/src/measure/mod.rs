//! Passes in training on the page's device, beside a kernel that only copies: first whether they are right, then how
//! fast they come.

mod inputs;
mod shapes;

use inputs::{Inputs, Results};
use serde::Serialize;
pub use shapes::{MOST_ELEMENTS, shapes};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BoundOperation, Context, DestroyOnDrop, ForwardTensors, Layout,
    Mode, Options, RunningStatistics, RunningValues, Shape, Tensor, Vector, wgpu,
};
use wgpu_batchnorm_measure::accuracy::Accuracy;
use wgpu_batchnorm_measure::copy::Copier;
use wgpu_batchnorm_measure::timer::Timer;
use wgpu_batchnorm_report::chart::{Bar, BarChart, BarGroup, ChartError};
use wgpu_batchnorm_report::{Summary, unit};

/// A browser's clocks tick in tenths of a millisecond.
const LEAST_SECONDS: f64 = 0.02;
const MOST_REPEATS: u32 = 1 << 12;
const REPETITIONS: usize = 7;
/// A read and a write.
const COPY_MOVES: f64 = 2.0;

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
    /// Of the bytes per second of the fastest copy.
    pub share_of_copy: f64,
    /// How right its results are; none of the copy.
    pub accuracy: Option<Accuracy>,
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

    /// Checks both passes in training on a shape, then times them and the copy, in rounds. Nothing comes of it once
    /// `is_cancelled` says so, which is asked between any two of them.
    ///
    /// # Errors
    /// If the shape does not fit the device, or the device fails.
    pub async fn measure(
        &self,
        sizes: &[usize],
        is_cancelled: &dyn Fn() -> bool,
    ) -> anyhow::Result<Option<Vec<Row>>> {
        let shape = Shape::new(sizes, Layout::ChannelsFirst)?;
        let Subject { forward, backward, x, y, accuracies, .. } = &Subject::new(&self.context, shape).await?;
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
            if is_cancelled() {
                return Ok(None);
            }
            timed.warm_up(&self.timer).await?;
        }
        for _ in 0..REPETITIONS {
            for timed in &mut timed {
                if is_cancelled() {
                    return Ok(None);
                }
                timed.seconds.push(self.timer.time(timed.repeats, &*timed.record).await?);
            }
        }
        // What failed takes no time.
        self.context.settled().await?;
        Ok(Some(rows(&shape, sizes, &timed, *accuracies)))
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
        self.repeats = timer.repeats(LEAST_SECONDS, MOST_REPEATS, &*self.record).await?;
        Ok(())
    }
}

fn rows(shape: &Shape, sizes: &[usize], timed: &[Timed<'_>], accuracies: [Accuracy; 2]) -> Vec<Row> {
    let tensor_bytes = (shape.elements() * size_of::<f32>()) as f64;
    let rate =
        |timed: &Timed<'_>| timed.moves * tensor_bytes / (Summary::of(&timed.seconds).median_ms * 1e-3);
    let (copies, passes): (Vec<_>, Vec<_>) = timed.iter().partition(|timed| timed.pass == "copy");
    // The best variant counts.
    let Some(copy) = copies.into_iter().max_by(|a, b| rate(a).total_cmp(&rate(b))) else {
        return Vec::new();
    };
    let limit = rate(copy);
    let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
    let row = |(timed, accuracy): (&Timed<'_>, Option<Accuracy>)| Row {
        shape: sizes.join("×"),
        pass: timed.pass,
        moves: timed.moves,
        time: Summary::of(&timed.seconds),
        bytes_per_second: rate(timed),
        share_of_copy: rate(timed) / limit,
        accuracy,
    };
    let passes = passes.into_iter().zip(accuracies.map(Some));
    std::iter::once((copy, None)).chain(passes).map(row).collect()
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
    /// Of both passes.
    accuracies: [Accuracy; 2],
    /// The tensors of both passes.
    _made: DestroyOnDrop,
}

impl Subject {
    async fn new(context: &Context, shape: Shape) -> anyhow::Result<Self> {
        let inputs = Inputs::new(shape);
        let batch_norm = BatchNorm::new(context, Options::new(shape.channels()))?;
        let (x, dy) =
            (Tensor::upload(context, shape, &inputs.x)?, Tensor::upload(context, shape, &inputs.dy)?);
        let (y, dx) = (Tensor::zeros(context, shape)?, Tensor::zeros(context, shape)?);
        let made = DestroyOnDrop::default();
        made.add([&x, &dy, &y, &dx].map(Tensor::range));
        let zeros = vec![0.0; shape.channels()];
        let (weight, bias) =
            (Vector::upload(context, &inputs.weight)?, Vector::upload(context, &inputs.bias)?);
        let (dweight, dbias) = (Vector::upload(context, &zeros)?, Vector::upload(context, &zeros)?);
        made.add([&weight, &bias, &dweight, &dbias].map(Vector::range));
        let running = RunningStatistics::upload(context, &RunningValues::start(shape.channels()))?;
        let saved = batch_norm.saved_statistics(&shape)?;
        made.add(running.ranges().into_iter().chain([saved.range()]));
        let range = |tensor: &Tensor| tensor.range().clone();
        let forward = ForwardTensors {
            weight: Some(weight.range().clone()),
            bias: Some(bias.range().clone()),
            running: Some(&running),
            ..ForwardTensors::new(range(&x), range(&y), &saved)
        };
        let forward = batch_norm.bind_forward(&shape, Mode::TRAINING, &forward)?;
        let backward = BackwardTensors {
            dx: Some(range(&dx)),
            dweight: Some((dweight.range().clone(), Accumulation::Replace)),
            dbias: Some((dbias.range().clone(), Accumulation::Replace)),
            ..BackwardTensors::new(range(&x), range(&dy), &saved)
        };
        let backward = batch_norm.bind_backward(&shape, Mode::TRAINING, &backward)?;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("measure") };
        let mut encoder = context.device().create_command_encoder(&descriptor);
        forward.record(&mut encoder)?;
        backward.record(&mut encoder)?;
        context.queue().submit([encoder.finish()]);
        let results = Results {
            y: y.download().await?,
            dx: dx.download().await?,
            dweight: dweight.download().await?,
            dbias: dbias.download().await?,
        };
        let accuracies = inputs.judge(&results)?;
        Ok(Self { forward, backward, x, y, accuracies, _made: made })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let accuracy = Accuracy { error_over_bound: 0.1, result: "y", passed: true };
        let rows = rows(&shape, &[1, 1, 1000], &all, [accuracy; 2]);
        assert_eq!(rows.iter().map(|row| row.pass).collect::<Vec<_>>(), ["copy", "forward", "backward"]);
        assert_eq!(rows.iter().map(|row| row.accuracy.is_some()).collect::<Vec<_>>(), [false, true, true]);
        let shares: Vec<_> = rows.iter().map(|row| (row.share_of_copy * 1000.0).round()).collect();
        assert_eq!(shares, [1000.0, 500.0, 1000.0]);
        assert!(chart(&rows, 500)?.contains("1×1×1000"));
        Ok(())
    }
}
