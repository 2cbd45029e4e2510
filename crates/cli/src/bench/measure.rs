//! Times everything that is compared on one shape, in rounds: each round runs each once, so that whatever
//! drifts on the machine hits all alike.

use super::accuracy::{Accuracy, Judge};
use super::config::{Config, EPS};
use super::data::Data;
use super::eviction::Eviction;
use super::features::Variation;
use super::replicas::Replicas;
use super::row::{Pass, Planned, Row};
use super::scratch::Scratch;
use super::shapes::BenchShape;
use super::subject::Subject;
use super::tensors::Turn;
use super::turns::Cache;
use anyhow::Context as _;
use std::cell::Cell;
use std::time::Instant;
use wgpu_batchnorm::{BoundOperation, Context, Layout, Plan, Step, wgpu};
use wgpu_batchnorm_baseline as baseline;
use wgpu_batchnorm_measure::copy::{Copier, LEAST_BYTES};
use wgpu_batchnorm_measure::timer::Timer;
use wgpu_batchnorm_report::Summary;

/// What all shapes are measured with.
pub(crate) struct Bench<'a> {
    pub(crate) context: &'a Context,
    pub(crate) copier: Copier,
    pub(crate) timer: Timer,
    pub(crate) repetitions: usize,
    /// Whether each step gets a row.
    pub(crate) steps: bool,
    pub(crate) cache: Cache,
    /// Of the CPU, where it is not to be warm either.
    pub(crate) eviction: Option<Eviction>,
}

/// What was found out about one shape, layout and variation.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    /// The number of channels whose results were checked, if not all.
    pub(crate) checked_channels: Option<usize>,
}

/// How often something that takes so many seconds is repeated in one measurement.
pub(crate) fn repeats_for(seconds: f64) -> u32 {
    (LEAST_SECONDS / seconds).ceil().clamp(1.0, MOST_REPEATS) as u32
}

/// Something that is timed, and its times in seconds.
struct Timed<'a> {
    pass: Pass,
    moves: f64,
    scratch_bytes: Option<u64>,
    planned: Option<Planned>,
    accuracy: Option<Accuracy>,
    /// Seconds of one run, of so many in a row.
    run: Box<dyn Fn(u32) -> anyhow::Result<f64> + 'a>,
    repeats: u32,
    seconds: Vec<f64>,
}

/// Passes on the adapter, checked and ready to be timed.
enum Ready {
    Subject(Box<Subject>),
    Replicas { replicas: Replicas, turn: Box<Turn> },
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
        let least = LEAST_BYTES as usize / config.dtype().bytes() as usize;
        anyhow::ensure!(
            elements >= least,
            "{shape} has {elements} elements, expected at least {least}: a vector to copy"
        );
        let mut data = Data::of(self.context, sizes, config, passes.contains(&Pass::DoubleBackward))?;
        for index in Judge::new(&data, config)?.doubtful()? {
            data.dy[index] = 0.0;
        }
        let judge = Judge::new(&data, config)?;
        // A pass reads a tensor and writes one; statistics, and some steps, only read one.
        let only_reads = self.steps || passes.contains(&Pass::Statistics);
        let footprint = if only_reads { 1 } else { 2 };
        let (ready, accuracies) = self.ready(&data, config, passes, (&judge, footprint))?;
        let checked_channels = judge.subset();
        drop(judge);

        let mut timed = Vec::new();
        let (turns, distance) = match &ready {
            Ready::Subject(subject) => {
                for ((pass, operations), accuracy) in subject.operations.iter().zip(accuracies) {
                    timed.extend(self.timed(*pass, operations, accuracy)?);
                }
                (&subject.turns[..], Some(subject.distance))
            }
            Ready::Replicas { replicas, turn } => {
                for (&pass, accuracy) in passes.iter().zip(accuracies) {
                    let run = move |repeats| replicas.run(pass, repeats);
                    timed.push(Timed::new(pass, replicas.moves(pass)?, run).checked(accuracy));
                }
                // What the host does in between takes longer than any cache helps.
                (std::slice::from_ref(&**turn), None)
            }
        };
        let mut copies = self.copies(turns);
        // The baseline knows float32 alone, and no options.
        let on_cpu = label.is_none() && *config == Config::default() && passes == ON_CPU;
        let cpu = self.rounds(&mut copies, &mut timed, on_cpu.then_some(&data))?;

        let copy = copies.iter().map(Timed::summary).min_by(|a, b| a.median_ms.total_cmp(&b.median_ms));
        let copy = copy.context("there is no copy kernel")?;
        let copied = turns.first().map_or(0, |turn| turn.x.size) as f64;
        let rate = COPY_MOVES * copied / (copy.median_ms * 1e-3);
        let row = |what| Row::new((shape, layout), (config, label), what, rate).in_turns(distance);
        let tensor_bytes = elements as f64 * config.dtype().bytes() as f64;
        let mut rows = Vec::new();
        // One copy a shape is enough to read.
        if passes == ON_CPU {
            rows.push(row((Pass::Copy, COPY_MOVES, copy)));
        }
        for timed in timed {
            let place = ON_CPU.iter().position(|&pass| pass == timed.pass);
            let cpu = place.zip(cpu).map(|(place, cpu)| cpu[place]);
            let row = row((timed.pass, timed.moves, timed.summary()));
            let scratch = timed.scratch_bytes.map(|bytes| Scratch::new(bytes, tensor_bytes));
            let row = row.compared(cpu).checked(timed.accuracy).with_scratch(scratch);
            rows.push(row.with_plan(timed.planned));
        }
        Ok(Measured { rows, checked_channels })
    }

    fn ready(
        &self,
        data: &Data,
        config: &Config,
        passes: &[Pass],
        (judge, footprint): (&Judge<'_>, u64),
    ) -> anyhow::Result<(Ready, Vec<Accuracy>)> {
        if config.synchronized {
            let replicas = Replicas::new(self.context, data, config)?;
            let accuracies = replicas.check(judge, passes)?;
            let turn = Box::new(replicas.tensors().context("there are no replicas")?.turn());
            return Ok((Ready::Replicas { replicas, turn }, accuracies));
        }
        let subject = Subject::new(self.context, data, config, passes, (self.cache, footprint))?;
        let accuracies = subject.check(judge)?;
        Ok((Ready::Subject(Box::new(subject)), accuracies))
    }

    /// A pass, and after it its steps, each to be run by itself. Those of evaluation are among those of
    /// training.
    fn timed<'t>(
        &'t self,
        pass: Pass,
        operations: &'t [BoundOperation],
        accuracy: Accuracy,
    ) -> anyhow::Result<Vec<Timed<'t>>> {
        let plan = operations.first().context("nothing is bound")?.plan();
        let timed =
            self.recorded(pass, plan.moves(), operations, |operation, pass| Ok(operation.record(pass)?));
        let mut timed = vec![timed.planned(plan).checked(accuracy)];
        let has = |step: &Step| plan.dispatches().iter().any(|dispatch| dispatch.step() == *step);
        for step in Step::ALL.into_iter().filter(has).filter(|_| self.steps && pass != Pass::Evaluation) {
            let (row, moves) = (Pass::Step(step.stem()), plan.moves_of(step));
            timed.push(self.recorded(row, moves, operations, move |operation, pass| {
                Ok(operation.record_step(pass, step)?)
            }));
        }
        Ok(timed)
    }

    /// The variants of the copy kernel, over the bytes of x.
    fn copies<'t>(&'t self, turns: &[Turn]) -> Vec<Timed<'t>> {
        let bound = self.copier.bind_turns(turns.iter().map(|turn| (&turn.x, &turn.y)));
        let copies = bound.into_iter().map(|copies| {
            self.recorded(Pass::Copy, COPY_MOVES, copies, |copy, pass| {
                copy.record(pass);
                Ok(())
            })
        });
        copies.collect()
    }

    /// Times what `record` records of `items`, which take turns.
    fn recorded<'t, T: 't>(
        &'t self,
        pass: Pass,
        moves: f64,
        items: impl AsRef<[T]> + 't,
        record: impl Fn(&T, &mut wgpu::ComputePass<'_>) -> anyhow::Result<()> + 't,
    ) -> Timed<'t> {
        // Measurements go on where the last one stopped, so that each item comes round equally late.
        let next = Cell::new(0);
        let record = move |pass: &mut wgpu::ComputePass<'_>| {
            let items = items.as_ref();
            let index = next.get() % items.len().max(1);
            next.set(index + 1);
            items.get(index).map_or(Ok(()), |item| record(item, pass))
        };
        Timed::new(pass, moves, move |repeats| pollster::block_on(self.timer.time(repeats, &record)))
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
            self.run_on_cpu(data, &mut out)?;
        }
        for _ in 0..self.repetitions {
            for timed in copies.iter_mut().chain(&mut *timed) {
                timed.run()?;
            }
            if let Some(data) = on_cpu {
                for (times, seconds) in cpu.iter_mut().zip(self.run_on_cpu(data, &mut out)?) {
                    times.push(seconds);
                }
            }
        }
        Ok(on_cpu.map(|_| cpu.map(|seconds| Summary::of(&seconds))))
    }

    /// Seconds of the CPU baseline: forward in training, forward in evaluation, backward.
    fn run_on_cpu(&self, data: &Data, out: &mut [f32]) -> anyhow::Result<[f64; 3]> {
        let Data { shape, x, dy, weight, bias, running, .. } = data;
        let (weight, bias, eps) = (Some(&weight[..]), Some(&bias[..]), EPS as f32);
        let start = || {
            if let Some(eviction) = &self.eviction {
                eviction.evict();
            }
            Instant::now()
        };
        let clock = start();
        let statistics = baseline::forward_train(*shape, x, weight, bias, eps, out)?;
        let forward = clock.elapsed();
        let clock = start();
        baseline::forward_eval(*shape, x, weight, bias, &running.mean, &running.var, eps, out)?;
        let evaluation = clock.elapsed();
        let clock = start();
        baseline::backward(*shape, x, dy, weight, &statistics, out)?;
        Ok([forward, evaluation, clock.elapsed()].map(|time| time.as_secs_f64()))
    }
}

impl<'a> Timed<'a> {
    fn new(pass: Pass, moves: f64, run: impl Fn(u32) -> anyhow::Result<f64> + 'a) -> Self {
        Self {
            pass,
            moves,
            scratch_bytes: None,
            planned: None,
            accuracy: None,
            run: Box::new(run),
            repeats: 1,
            seconds: Vec::new(),
        }
    }

    fn checked(self, accuracy: Accuracy) -> Self {
        Self { accuracy: Some(accuracy), ..self }
    }

    fn planned(self, plan: &Plan) -> Self {
        Self { scratch_bytes: Some(plan.workspace_bytes()), planned: Some(Planned::of(plan)), ..self }
    }

    /// Runs it until it is warm, and decides how often a measurement repeats it.
    fn warm_up(&mut self) -> anyhow::Result<()> {
        (self.run)(1)?;
        let seconds = (self.run)(1)?;
        self.repeats = repeats_for(seconds);
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
