//! Times everything that is compared on one shape, in rounds: each round runs each once, so that whatever
//! drifts on the machine hits all alike.

use super::accuracy::{Accuracy, Judge};
use super::config::{Config, EPS};
use super::copy::Copier;
use super::data::Data;
use super::features::Variation;
use super::replicas::Replicas;
use super::row::{Pass, Row};
use super::shapes::BenchShape;
use super::subject::Subject;
use super::summary::Summary;
use super::tensors::Tensors;
use super::timer::Timer;
use anyhow::Context as _;
use wgpu_batchnorm::{BoundOperation, Context, Layout, Step, wgpu};
use wgpu_batchnorm_baseline as baseline;

/// What all shapes are measured with.
pub(crate) struct Bench<'a> {
    pub(crate) context: &'a Context,
    pub(crate) copier: Copier,
    pub(crate) timer: Timer,
    pub(crate) repetitions: usize,
    /// Whether each step gets a row.
    pub(crate) steps: bool,
}

/// What was found out about one shape, layout and variation.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    /// The number of channels whose results were checked, if not all.
    pub(crate) checked_channels: Option<usize>,
}

/// Something that is timed, and its times in seconds.
struct Timed<'a> {
    pass: Pass,
    moves: f64,
    accuracy: Option<Accuracy>,
    /// Seconds of one run, of so many in a row.
    run: Box<dyn Fn(u32) -> anyhow::Result<f64> + 'a>,
    repeats: u32,
    seconds: Vec<f64>,
}

/// Passes on the adapter, checked and ready to be timed.
enum Ready {
    Subject(Box<Subject>),
    Replicas(Replicas),
}

/// Seconds that one measurement takes at least, as far as repeating what is measured can do that.
const LEAST_SECONDS: f64 = 0.002;
const MOST_REPEATS: f64 = 200.0;
/// A read and a write.
const COPY_MOVES: f64 = 2.0;
/// What the CPU baseline can do, without any variation.
const ON_CPU: [Pass; 3] = [Pass::Forward, Pass::Evaluation, Pass::Backward];

impl Bench<'_> {
    /// Checks every result on `shape`, then times the copy, the passes, their steps and the CPU baseline.
    pub(crate) fn measure(
        &self,
        shape: &BenchShape,
        layout: Layout,
        config: &Config,
        &Variation { label, passes, .. }: &Variation,
    ) -> anyhow::Result<Measured> {
        let sizes = shape.in_layout(layout)?;
        let elements = sizes.elements();
        let least = 16 / config.dtype().bytes() as usize;
        anyhow::ensure!(
            elements >= least,
            "{shape} has {elements} elements, expected at least {least}: a vector to copy"
        );
        let mut data = Data::of(self.context, sizes, config, passes.contains(&Pass::DoubleBackward))?;
        for index in Judge::new(&data, config)?.doubtful()? {
            data.dy[index] = 0.0;
        }
        let judge = Judge::new(&data, config)?;
        let (ready, accuracies) = self.ready(&data, config, passes, &judge)?;
        let checked_channels = judge.subset();
        drop(judge);

        let mut timed = Vec::new();
        let tensors = match &ready {
            Ready::Subject(subject) => {
                for ((pass, operation), accuracy) in subject.operations.iter().zip(accuracies) {
                    timed.extend(self.timed(*pass, operation, accuracy));
                }
                &subject.tensors
            }
            Ready::Replicas(replicas) => {
                for (&pass, accuracy) in passes.iter().zip(accuracies) {
                    let run = move |repeats| replicas.run(pass, repeats);
                    timed.push(Timed::new(pass, replicas.moves(pass)?, run).checked(accuracy));
                }
                replicas.tensors().context("there are no replicas")?
            }
        };
        let mut copies = self.copies(tensors);
        // The baseline knows float32 alone, and no options.
        let on_cpu = label.is_none() && *config == Config::default() && passes == ON_CPU;
        let cpu = self.rounds(&mut copies, &mut timed, on_cpu.then_some(&data))?;

        let copy = copies.iter().map(Timed::summary).min_by(|a, b| a.median_ms.total_cmp(&b.median_ms));
        let copy = copy.context("there is no copy kernel")?;
        let copied = tensors.x.shape().elements() as f64 * config.dtype().bytes() as f64;
        let rate = COPY_MOVES * copied / (copy.median_ms * 1e-3);
        let row = |what| Row::new((shape, layout), (config, label), what, rate);
        let mut rows = Vec::new();
        // One copy a shape is enough to read.
        if passes == ON_CPU {
            rows.push(row((Pass::Copy, COPY_MOVES, copy)));
        }
        for timed in timed {
            let place = ON_CPU.iter().position(|&pass| pass == timed.pass);
            let cpu = place.zip(cpu).map(|(place, cpu)| cpu[place]);
            let row = row((timed.pass, timed.moves, timed.summary()));
            rows.push(row.compared(cpu).checked(timed.accuracy));
        }
        Ok(Measured { rows, checked_channels })
    }

    fn ready(
        &self,
        data: &Data,
        config: &Config,
        passes: &[Pass],
        judge: &Judge<'_>,
    ) -> anyhow::Result<(Ready, Vec<Accuracy>)> {
        if config.synchronized {
            let replicas = Replicas::new(self.context, data, config)?;
            let accuracies = replicas.check(judge, passes)?;
            return Ok((Ready::Replicas(replicas), accuracies));
        }
        let subject = Subject::new(self.context, data, config, passes)?;
        let accuracies = subject.check(judge)?;
        Ok((Ready::Subject(Box::new(subject)), accuracies))
    }

    /// A pass, and after it its steps, each to be run by itself. Those of evaluation are among those of
    /// training.
    fn timed<'t>(&'t self, pass: Pass, operation: &'t BoundOperation, accuracy: Accuracy) -> Vec<Timed<'t>> {
        let plan = operation.plan();
        let timed = self.recorded(pass, plan.moves(), |pass| Ok(operation.record(pass)?));
        let mut timed = vec![timed.checked(accuracy)];
        let has = |step: &Step| plan.dispatches().iter().any(|dispatch| dispatch.step() == *step);
        for step in Step::ALL.into_iter().filter(has).filter(|_| self.steps && pass != Pass::Evaluation) {
            let record = move |pass: &mut wgpu::ComputePass<'_>| Ok(operation.record_step(pass, step)?);
            timed.push(self.recorded(Pass::Step(step.stem()), plan.moves_of(step), record));
        }
        timed
    }

    /// The variants of the copy kernel, over the bytes of x.
    fn copies<'t>(&'t self, tensors: &Tensors) -> Vec<Timed<'t>> {
        let copies = self.copier.bind(tensors.x.range(), tensors.y.range()).into_iter();
        let copies = copies.map(|copy| {
            self.recorded(Pass::Copy, COPY_MOVES, move |pass| {
                copy.record(pass);
                Ok(())
            })
        });
        copies.collect()
    }

    fn recorded<'t>(
        &'t self,
        pass: Pass,
        moves: f64,
        record: impl Fn(&mut wgpu::ComputePass<'_>) -> anyhow::Result<()> + 't,
    ) -> Timed<'t> {
        Timed::new(pass, moves, move |repeats| self.timer.time(repeats, &record))
    }

    /// Runs everything once in each round; with data the passes on the CPU too, whose times are returned
    /// in the order of [`ON_CPU`].
    fn rounds<'t>(
        &self,
        copies: &mut [Timed<'t>],
        timed: &mut [Timed<'t>],
        on_cpu: Option<&Data>,
    ) -> anyhow::Result<Option<[Summary; 3]>> {
        let mut out = vec![0.0; on_cpu.map_or(0, |data| data.shape.elements())];
        let mut cpu = [const { Vec::new() }; 3];
        for timed in copies.iter_mut().chain(&mut *timed) {
            timed.warm_up()?;
        }
        if let Some(data) = on_cpu {
            run_on_cpu(data, &mut out)?;
        }
        for _ in 0..self.repetitions {
            for timed in copies.iter_mut().chain(&mut *timed) {
                timed.run()?;
            }
            if let Some(data) = on_cpu {
                for (times, seconds) in cpu.iter_mut().zip(run_on_cpu(data, &mut out)?) {
                    times.push(seconds);
                }
            }
        }
        Ok(on_cpu.map(|_| cpu.map(|seconds| Summary::of(&seconds))))
    }
}

impl<'a> Timed<'a> {
    fn new(pass: Pass, moves: f64, run: impl Fn(u32) -> anyhow::Result<f64> + 'a) -> Self {
        Self { pass, moves, accuracy: None, run: Box::new(run), repeats: 1, seconds: Vec::new() }
    }

    fn checked(self, accuracy: Accuracy) -> Self {
        Self { accuracy: Some(accuracy), ..self }
    }

    /// Runs it until it is warm, and decides how often a measurement repeats it.
    fn warm_up(&mut self) -> anyhow::Result<()> {
        (self.run)(1)?;
        let seconds = (self.run)(1)?;
        self.repeats = (LEAST_SECONDS / seconds).ceil().clamp(1.0, MOST_REPEATS) as u32;
        Ok(())
    }

    fn run(&mut self) -> anyhow::Result<()> {
        self.seconds.push((self.run)(self.repeats)?);
        Ok(())
    }

    fn summary(&self) -> Summary {
        Summary::of(&self.seconds)
    }
}

/// Seconds of the CPU baseline: forward in training, forward in evaluation, backward.
fn run_on_cpu(data: &Data, out: &mut [f32]) -> anyhow::Result<[f64; 3]> {
    let Data { shape, x, dy, weight, bias, running, .. } = data;
    let (weight, bias, eps) = (Some(&weight[..]), Some(&bias[..]), EPS as f32);
    let mut clock = std::time::Instant::now();
    let mut lap = || std::mem::replace(&mut clock, std::time::Instant::now()).elapsed().as_secs_f64();
    let statistics = baseline::forward_train(*shape, x, weight, bias, eps, out)?;
    let forward = lap();
    baseline::forward_eval(*shape, x, weight, bias, &running.mean, &running.var, eps, out)?;
    let evaluation = lap();
    baseline::backward(*shape, x, dy, weight, &statistics, out)?;
    Ok([forward, evaluation, lap()])
}
