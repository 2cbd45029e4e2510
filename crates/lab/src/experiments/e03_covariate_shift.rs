//! Internal covariate shift, and whether it matters.

use crate::chart::{Series, histograms, lines};
use crate::data::{Batch, Batches};
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Net, Nonlinearity, Point, Spec, Statistics};
use crate::train::{Descent, Spread, accuracy, cross_entropy, short, smoothed, test_set, values};
use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 3,
    slug: "covariate-shift",
    title: "Internal covariate shift",
    claim: "Normalizing every hidden layer trains faster than standardizing the network's input alone, and keeps the \
            distributions of hidden layers still. But that is not why: with noise after batch normalization, which moves them \
            more than without it, the network trains well all the same.",
    source: "S. Ioffe and C. Szegedy, 2015, section 2 (the shift as the reason); S. Santurkar et al., How Does Batch \
             Normalization Help Optimization?, NeurIPS 2018, section 2.2 (against it).",
    method: "Networks of 5 hidden layers of 64 tanh units, the same weights, 120 steps at a learning rate of 0.1 on batches of \
             60 digits: plain; with each pixel standardized; with batch normalization in every layer; and the last with noise: \
             in each step each unit gets a scale from 1 to 1.5 and an offset from −0.5 to 0.5, and each value some \
             Gaussian noise of a deviation of 0.25. Every 5 steps 250 fixed digits show what enters each tanh: the movement is \
             √(Δmean² + Δdeviation²) / deviation of a unit, on average. Held if the mean loss of the last 20 steps is lower \
             with batch normalization than with standardized input, the movement is smaller, the noise moves more \
             than no normalization does, and the noisy network's loss is still below the plain one's.",
    run,
};

const DEPTH: usize = 5;
const WIDTH: usize = 64;
const BATCH: usize = 60;
const STEPS: usize = 120;
const RATE: f64 = 0.1;
const PROBES: usize = 250;
const EVERY: usize = 5;
const LAST: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Standardized,
    Normalized,
    Noisy,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Normalized, Self::Plain, Self::Standardized, Self::Noisy];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Standardized => "input standardized",
            Self::Normalized => "batch norm",
            Self::Noisy => "batch norm, then noise",
        }
    }

    fn normalizes(self) -> bool {
        matches!(self, Self::Normalized | Self::Noisy)
    }
}

/// What training showed.
struct Run {
    losses: Vec<f64>,
    /// At each look after the first one, on average over layers.
    movements: Vec<f64>,
    /// What entered the last layer's tanh, before the first step and after the last one.
    entries: [Vec<f32>; 2],
    accuracy: f64,
}

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let steps = lab.steps(STEPS);
    lab.expect(Kind::ALL.len() * lab.seeds().len() * steps);
    let mut all = Vec::new();
    for kind in Kind::ALL {
        lab.say(kind.name());
        let runs = lab.seeds().iter().map(|&seed| learn(lab, kind, seed, steps));
        all.push(runs.collect::<anyhow::Result<Vec<_>>>()?);
    }
    let over_seeds = |of: &dyn Fn(&Run) -> f64| -> Vec<Spread> {
        let spread = |runs: &Vec<Run>| Spread::of(&runs.iter().map(of).collect::<Vec<_>>());
        all.iter().map(spread).collect()
    };
    let last = |run: &Run| mean(&run.losses[run.losses.len().saturating_sub(LAST)..]);
    let losses = over_seeds(&last);
    let movements = over_seeds(&|run| mean(&run.movements));
    let accuracies = over_seeds(&|run| run.accuracy);
    let [normalized, plain, standardized, noisy] = [0, 1, 2, 3];
    let parts = [
        losses[normalized].mean < losses[standardized].mean,
        movements[normalized].mean < movements[standardized].mean,
        movements[noisy].mean > movements[plain].mean,
        losses[noisy].mean < losses[plain].mean,
    ];
    let number = |spreads: &[Spread], kind: usize| short(spreads[kind].mean);
    let because = format!(
        "Loss of the last steps: {} with batch normalization, {} with standardized input, {} plain, {} with noise. Movement in \
         {EVERY} steps: {}, {}, {} and {} deviations.",
        number(&losses, normalized),
        number(&losses, standardized),
        number(&losses, plain),
        number(&losses, noisy),
        number(&movements, normalized),
        number(&movements, standardized),
        number(&movements, plain),
        number(&movements, noisy),
    );

    let series = |of: &dyn Fn(&Run) -> Vec<f64>, x: &dyn Fn(usize) -> f64| -> Vec<Series<'static>> {
        let curve = |(color, runs): (usize, &Vec<Run>)| {
            let y = Spread::of_curves(&runs.iter().map(of).collect::<Vec<_>>());
            Series { name: Kind::ALL[color].name(), color, x: (0..y.len()).map(x).collect(), y }
        };
        all.iter().enumerate().map(curve).collect()
    };
    let rows = Kind::ALL.iter().enumerate().map(|(index, kind)| {
        let cells = [losses[index].to_string(), movements[index].to_string(), accuracies[index].percent()];
        [kind.name().to_owned()].into_iter().chain(cells).collect()
    });
    let rows: Vec<_> = rows.collect();
    let first = |moment: usize| -> Vec<Vec<f32>> {
        all.iter().filter_map(|runs| Some(runs.first()?.entries[moment].clone())).collect()
    };
    let shown = [("at first".to_owned(), first(0)), ("at last".to_owned(), first(1))];
    let names = Kind::ALL.map(Kind::name);
    let step = ("step", Scale::Linear);
    let findings = vec![
        lines(
            "Loss, each the mean of 5 batches",
            step,
            ("loss", Scale::Logarithmic),
            &series(&|run| smoothed(&run.losses, 5), &|index| (index + 1) as f64),
        )?,
        lines(
            "Movement of what enters the layers",
            step,
            ("deviations", Scale::Logarithmic),
            &series(&|run| run.movements.clone(), &|index| ((index + 1) * EVERY) as f64),
        )?,
        histograms("What enters the last tanh, first seed", "value", (-4.0, 4.0), &names, &shown)?,
        Finding::table(
            "At the end: mean (least–most) of the networks",
            &["", "loss", "movement", "test accuracy"],
            rows,
        ),
        Finding::text(
            "The movement is that of what enters the tanh, after normalization where there is one, with the statistics of the 250 \
             digits: only γ and β can move it there, so that little movement is nearly a matter of definition. The noise is \
             what puts it to the test. Accuracy is taken with the running statistics and without noise. Heights of histograms are square roots of \
             shares.",
        ),
    ];
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn learn(lab: &Lab, kind: Kind, seed: u64, steps: usize) -> anyhow::Result<Run> {
    let device = &lab.device;
    let spec = Spec::new(DEPTH, WIDTH, Nonlinearity::Tanh);
    let spec = if kind.normalizes() { spec.normalized() } else { spec };
    let mut net = spec.init(seed, device);
    let mut noise = Noise { random: fastrand::Rng::with_seed(seed), device: device.clone() };
    let all = Statistics::of(Batch::of(&lab.digits.train, device).x);
    let prepared = |x: Tensor<2>, all: &Statistics| match kind {
        // Some pixels are the same in nearly all digits.
        Kind::Standardized => (x - all.mean.clone()) / all.var.clone().add_scalar(1e-2).sqrt(),
        _ => x,
    };
    let probes = prepared(Batch::first(&lab.digits.train, PROBES, device).x, &all);
    let mut batches = Batches::new(&lab.digits.train, BATCH, seed, device);
    let mut descent = Descent::plain(RATE);
    let (mut losses, mut movements) = (Vec::new(), Vec::new());
    let mut before = entries(&net, &probes, kind, &mut noise)?;
    let first = before.last().cloned().unwrap_or_default();
    for step in 1..=steps {
        let batch = batches.next();
        let x = prepared(batch.x, &all);
        let logits = net.forward_with(x, |_, point, x| match (kind, point) {
            (Kind::Noisy, Point::Entry) => noise.add(x),
            _ => x,
        });
        let (next, loss) = descent.step(net, &cross_entropy(logits, batch.target))?;
        net = next;
        losses.push(loss);
        if step % EVERY == 0 || step == steps {
            let now = entries(&net, &probes, kind, &mut noise)?;
            let moved: Vec<_> = before.iter().zip(&now).map(|(old, new)| movement(old, new)).collect();
            movements.push(mean(&moved));
            before = now;
        }
        lab.tick();
    }
    let test = test_set(&lab.digits, device);
    let inner = Statistics { mean: all.mean.inner(), var: all.var.inner() };
    let accuracy = accuracy(net.valid().forward(prepared(test.x, &inner)), &test.labels)?;
    Ok(Run { losses, movements, entries: [first, before.last().cloned().unwrap_or_default()], accuracy })
}

/// What enters each layer's tanh, with the batch's statistics, which are left as they are.
fn entries(net: &Net, probes: &Tensor<2>, kind: Kind, noise: &mut Noise) -> anyhow::Result<Vec<Vec<f32>>> {
    let mut seen = Vec::new();
    let hook = &mut |_, point, x| {
        if point != Point::Entry {
            return x;
        }
        let x = if kind == Kind::Noisy { noise.add(x) } else { x };
        seen.push(x.clone());
        x
    };
    net.forward_by(probes.clone(), hook, |layer, x| {
        let statistics = Statistics::of(x.clone());
        net.normalize(layer, &statistics, x)
    });
    seen.into_iter().map(values).collect()
}

/// How far the distributions of a layer's units have moved, on average, in deviations.
fn movement(old: &[f32], new: &[f32]) -> f64 {
    let unit = |values: &[f32], unit: usize| {
        let of_unit: Vec<_> =
            values.iter().skip(unit).step_by(WIDTH).map(|&value| f64::from(value)).collect();
        let center = mean(&of_unit);
        let squares: Vec<_> = of_unit.iter().map(|value| (value - center) * (value - center)).collect();
        (center, mean(&squares).sqrt())
    };
    let of_unit = |index: usize| {
        let ((mean, deviation), (new_mean, new_deviation)) = (unit(old, index), unit(new, index));
        (new_mean - mean).hypot(new_deviation - deviation) / deviation.max(1e-6)
    };
    mean(&(0..WIDTH).map(of_unit).collect::<Vec<_>>())
}

/// Another distribution in each step.
struct Noise {
    random: fastrand::Rng,
    device: Device,
}

impl Noise {
    fn add(&mut self, x: Tensor<2>) -> Tensor<2> {
        let [samples, units] = x.dims();
        let mut one = |from: f64, to: f64| -> Vec<f32> {
            (0..units).map(|_| (from + (to - from) * self.random.f64()) as f32).collect()
        };
        let (scale, offset) = (one(1.0, 1.5), one(-0.5, 0.5));
        let of_values = crate::net::normal(samples * units, 0.25, &mut self.random);
        let offsets: Vec<_> =
            of_values.iter().zip(offset.iter().cycle()).map(|(value, offset)| value + offset).collect();
        let tensor = |values: Vec<f32>, rows: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [rows, units]), &self.device)
        };
        x * tensor(scale, 1) + tensor(offsets, samples)
    }
}
