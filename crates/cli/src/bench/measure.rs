//! Times everything that is compared on one shape, in rounds: each round runs each once, so that whatever
//! drifts on the machine hits all alike.

use super::accuracy::{EPS, Judge};
use super::copy::Copier;
use super::data::Data;
use super::row::{Pass, Row};
use super::shapes::BenchShape;
use super::subject::Subject;
use super::summary::Summary;
use super::timer::{Recording, Timer};
use anyhow::Context as _;
use wgpu_batchnorm::{Context, Layout, Plan, Step, wgpu};
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
    pass: Pass,
    moves: f64,
    record: Box<Recording<'a>>,
    repeats: u32,
    seconds: Vec<f64>,
}

/// Seconds that one measurement takes at least, as far as repeating what is measured can do that.
const LEAST_SECONDS: f64 = 0.002;
const MOST_REPEATS: f64 = 200.0;
/// A read and a write.
const COPY_MOVES: f64 = 2.0;

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

        let mut timed = copies_of(&subject, &self.copier);
        timed.extend(passes_of(&subject));
        if self.steps {
            timed.extend(steps_of(&subject));
        }
        let [forward, evaluation, backward] = self.rounds(&mut timed, &data)?;

        let (copies, timed): (Vec<_>, Vec<_>) = timed.iter().partition(|timed| timed.pass == Pass::Copy);
        let copies = copies.into_iter().map(OnAdapter::summary);
        let copy =
            copies.min_by(|a, b| a.median_ms.total_cmp(&b.median_ms)).context("there is no copy kernel")?;
        let row = |pass, moves, time| Row::new(shape, layout, pass, moves, time, &copy);
        let rows = timed.into_iter().map(|timed| {
            let row = row(timed.pass, timed.moves, timed.summary());
            match timed.pass {
                Pass::Forward => row.compared(forward, accuracies.forward),
                Pass::Evaluation => row.compared(evaluation, accuracies.evaluation),
                Pass::Backward => row.compared(backward, accuracies.backward),
                Pass::Copy | Pass::Step(_) => row,
            }
        });
        let rows = std::iter::once(row(Pass::Copy, COPY_MOVES, copy)).chain(rows).collect();
        Ok(Measured { rows, checked_channels })
    }

    /// Runs everything once in each round, and the passes on the CPU, whose times are returned: forward in
    /// training, forward in evaluation, backward.
    fn rounds(&self, timed: &mut [OnAdapter<'_>], data: &Data) -> anyhow::Result<[Summary; 3]> {
        let mut out = vec![0.0; data.shape.elements()];
        let mut cpu = [const { Vec::new() }; 3];
        for timed in timed.iter_mut() {
            timed.warm_up(&self.timer)?;
        }
        on_cpu(data, &mut out)?;
        for _ in 0..self.repetitions {
            for timed in timed.iter_mut() {
                timed.run(&self.timer)?;
            }
            for (times, seconds) in cpu.iter_mut().zip(on_cpu(data, &mut out)?) {
                times.push(seconds);
            }
        }
        Ok(cpu.map(|seconds| Summary::of(&seconds)))
    }
}

impl<'a> OnAdapter<'a> {
    fn new(
        pass: Pass,
        moves: f64,
        record: impl Fn(&mut wgpu::ComputePass<'_>) -> anyhow::Result<()> + 'a,
    ) -> Self {
        Self { pass, moves, record: Box::new(record), repeats: 1, seconds: Vec::new() }
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

    fn summary(&self) -> Summary {
        Summary::of(&self.seconds)
    }
}

/// The variants of the copy kernel, over the bytes of x.
fn copies_of<'a>(subject: &Subject, copier: &Copier) -> Vec<OnAdapter<'a>> {
    let copies = copier.bind(subject.x.range(), subject.y.range()).into_iter();
    let copies = copies.map(|copy| {
        OnAdapter::new(Pass::Copy, COPY_MOVES, move |pass| {
            copy.record(pass);
            Ok(())
        })
    });
    copies.collect()
}

fn passes_of(subject: &Subject) -> [OnAdapter<'_>; 3] {
    let Subject { forward, evaluation, backward, .. } = subject;
    [
        OnAdapter::new(Pass::Forward, forward.plan().moves(), |pass| Ok(forward.record(pass)?)),
        OnAdapter::new(Pass::Evaluation, evaluation.plan().moves(), |pass| Ok(evaluation.record(pass)?)),
        OnAdapter::new(Pass::Backward, backward.plan().moves(), |pass| Ok(backward.record(pass)?)),
    ]
}

/// The steps of the training passes, each to be run by itself.
fn steps_of(subject: &Subject) -> Vec<OnAdapter<'_>> {
    let Subject { forward, backward, .. } = subject;
    let has = |plan: &Plan, step| plan.dispatches().iter().any(|dispatch| dispatch.step() == step);
    let mut steps = Vec::new();
    for step in Step::ALL {
        let pass = Pass::Step(step.stem());
        if has(forward.plan(), step) {
            let moves = forward.plan().moves_of(step);
            steps.push(OnAdapter::new(pass, moves, move |pass| Ok(forward.record_step(pass, step)?)));
        } else if has(backward.plan(), step) {
            let moves = backward.plan().moves_of(step);
            steps.push(OnAdapter::new(pass, moves, move |pass| Ok(backward.record_step(pass, step)?)));
        }
    }
    steps
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
