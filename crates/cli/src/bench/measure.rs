//! Times everything that is compared on one shape, in rounds: each round runs each once, so that whatever
//! drifts on the machine hits all alike.

use super::accuracy::{EPS, Judge};
use super::copy::Copier;
use super::data::Data;
use super::report::{Pass, Row};
use super::shapes::BenchShape;
use super::subject::Subject;
use super::summary::Summary;
use super::timer::{Recording, Timer};
use anyhow::Context as _;
use wgpu_batchnorm::{Context, Layout, Step, wgpu};
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

/// What was found out about one shape and layout.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    /// The number of channels whose results were checked, if not all.
    pub(crate) checked_channels: Option<usize>,
}

/// Something that runs on the adapter, and its times in seconds.
struct OnAdapter<'a> {
    record: Box<Recording<'a>>,
    repeats: u32,
    seconds: Vec<f64>,
}

/// Seconds that one measurement takes at least, as far as repeating what is measured can do that.
const LEAST_SECONDS: f64 = 0.002;
const MOST_REPEATS: f64 = 200.0;

impl Bench<'_> {
    /// Checks every result on `shape`, then times the copy, the passes, their steps and the CPU baseline.
    pub(crate) fn measure(&self, shape: &BenchShape, layout: Layout) -> anyhow::Result<Measured> {
        let data = Data::new(shape.in_layout(layout)?);
        let elements = data.shape.elements();
        anyhow::ensure!(
            elements >= 4,
            "{shape} has {elements} elements, expected at least 4: a vector to copy"
        );
        let subject = Subject::new(self.context, &data)?;
        let judge = Judge::new(&data)?;
        let accuracies = subject.check(&judge)?;
        let checked_channels = judge.subset();
        drop(judge);

        let mut passes = [
            OnAdapter::new(|pass| Ok(subject.forward.record(pass)?)),
            OnAdapter::new(|pass| Ok(subject.evaluation.record(pass)?)),
            OnAdapter::new(|pass| Ok(subject.backward.record(pass)?)),
        ];
        let mut copies: Vec<_> = self
            .copier
            .bind(subject.x.range(), subject.y.range())
            .into_iter()
            .map(|copy| {
                OnAdapter::new(move |pass| {
                    copy.record(pass);
                    Ok(())
                })
            })
            .collect();
        let (step_names, mut steps): (Vec<_>, Vec<_>) =
            if self.steps { steps_of(&subject).into_iter().unzip() } else { Default::default() };
        let mut cpu = [const { Vec::new() }; 3];
        let mut out = vec![0.0; elements];

        for timed in passes.iter_mut().chain(&mut copies).chain(&mut steps) {
            timed.warm_up(&self.timer)?;
        }
        on_cpu(&data, &mut out)?;
        for _ in 0..self.repetitions {
            for timed in copies.iter_mut().chain(&mut passes).chain(&mut steps) {
                timed.run(&self.timer)?;
            }
            for (times, seconds) in cpu.iter_mut().zip(on_cpu(&data, &mut out)?) {
                times.push(seconds);
            }
        }

        let copies = copies.iter().map(|copy| Summary::of(&copy.seconds));
        let copy =
            copies.min_by(|a, b| a.median_ms.total_cmp(&b.median_ms)).context("there is no copy kernel")?;
        let row = |pass, moves, time| Row::new(shape, layout, pass, moves, time, &copy);
        let [forward_cpu, evaluation_cpu, backward_cpu] = cpu.each_ref().map(|seconds| Summary::of(seconds));
        let [forward, evaluation, backward] = passes.each_ref().map(|pass| Summary::of(&pass.seconds));
        let mut rows = vec![
            row(Pass::Copy, 2.0, copy),
            row(Pass::Forward, subject.forward.plan().moves(), forward)
                .compared(forward_cpu, accuracies.forward),
            row(Pass::Evaluation, subject.evaluation.plan().moves(), evaluation)
                .compared(evaluation_cpu, accuracies.evaluation),
            row(Pass::Backward, subject.backward.plan().moves(), backward)
                .compared(backward_cpu, accuracies.backward),
        ];
        rows.extend(
            step_names.into_iter().zip(&steps).map(|(step, timed)| {
                row(Pass::Step(step.stem()), moves_of(step), Summary::of(&timed.seconds))
            }),
        );
        Ok(Measured { rows, checked_channels })
    }
}

impl<'a> OnAdapter<'a> {
    fn new(record: impl Fn(&mut wgpu::ComputePass<'_>) -> anyhow::Result<()> + 'a) -> Self {
        Self { record: Box::new(record), repeats: 1, seconds: Vec::new() }
    }

    /// Runs it until it is warm, and decides how often a measurement repeats it.
    fn warm_up(&mut self, timer: &Timer) -> anyhow::Result<()> {
        timer.time(1, &self.record)?;
        let seconds = timer.time(1, &self.record)?;
        self.repeats = (LEAST_SECONDS / seconds).ceil().clamp(1.0, MOST_REPEATS) as u32;
        Ok(())
    }

    fn run(&mut self, timer: &Timer) -> anyhow::Result<()> {
        self.seconds.push(timer.time(self.repeats, &self.record)?);
        Ok(())
    }
}

/// The steps of the training pass, each to be run by itself.
fn steps_of(subject: &Subject) -> Vec<(Step, OnAdapter<'_>)> {
    let has = |plan: &wgpu_batchnorm::Plan, step| plan.dispatches().iter().any(|each| each.step() == step);
    let mut steps = Vec::new();
    for step in Step::ALL {
        if has(subject.forward.plan(), step) {
            let record =
                move |pass: &mut wgpu::ComputePass<'_>| Ok(subject.forward.record_step(pass, step)?);
            steps.push((step, OnAdapter::new(record)));
        } else if has(subject.backward.plan(), step) {
            let record =
                move |pass: &mut wgpu::ComputePass<'_>| Ok(subject.backward.record_step(pass, step)?);
            steps.push((step, OnAdapter::new(record)));
        }
    }
    steps
}

/// Reads and writes of a full tensor in one run of a step in training.
fn moves_of(step: Step) -> f64 {
    match step {
        Step::Statistics => 1.0,
        Step::Normalize | Step::BackwardReduce => 2.0,
        Step::BackwardApply => 3.0,
        Step::Finalize | Step::RunningStats | Step::BackwardFinalize => 0.0,
    }
}

/// Seconds of the CPU baseline: forward in training, forward in evaluation, backward.
fn on_cpu(data: &Data, out: &mut [f32]) -> anyhow::Result<[f64; 3]> {
    let Data { shape, x, dy, weight, bias, running } = data;
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
