//! Why training does not use moving statistics.

use crate::chart::{Series, lines};
use crate::data::{Batch, Batches};
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Net, Nonlinearity, Point, Spec, Statistics};
use crate::train::{Descent, Spread, cross_entropy, length, norm, short, smoothed, values};
use anyhow::Context as _;
use burn::tensor::Tensor;
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 8,
    slug: "moving-statistics",
    title: "Training with moving statistics",
    claim: "Batch normalization has to be differentiated through the batch's statistics. Then gradients have no component along \
            the constant vector and along x̂: Σdx = 0 and ⟨dx, x̂⟩ ≈ 0. With moving statistics, or with the batch's as if they \
            were constants, they do, and training is worse or diverges.",
    source: "S. Ioffe and C. Szegedy, 2015, section 2 (the model blows up if the gradient ignores the normalization); S. Ioffe, \
             Batch Renormalization, NeurIPS 2017, section 3.",
    method: "Networks of 4 hidden layers of 64 ReLU units, the same weights, 80 steps on batches of 60 digits at learning rates \
             of 0.1 and 1: with the batch's statistics; with the batch's, but differentiated as constants; and with a \
             moving average (momentum 0.1, begun with the first batch) as constants. For each unit of the first step's network: \
             |Σdx| / (√m·|dx|) and |⟨dx, x̂⟩| / (|dx|·|x̂|). Held if both are below 0.001 with the batch's statistics and \
             above 0.01 with the others, on average, and if at the rate of 1 the others' mean loss of the last 10 steps \
             is at least twice as high, or no number.",
    run,
};

const STEPS: usize = 80;
const BATCH: usize = 60;
const RATES: [f64; 2] = [0.1, 1.0];
const MOMENTUM: f64 = 0.1;
const LAST: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Batch,
    Constant,
    Moving,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Batch, Self::Constant, Self::Moving];

    fn name(self) -> &'static str {
        match self {
            Self::Batch => "the batch's",
            Self::Constant => "the batch's, as constants",
            Self::Moving => "moving average",
        }
    }
}

struct Run {
    losses: Vec<f64>,
    /// Of all hidden weights, after each step.
    weights: Vec<f64>,
    /// Along the constant vector and along x̂, on average over units.
    components: [f64; 2],
}

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let steps = lab.steps(STEPS);
    lab.expect(RATES.len() * Kind::ALL.len() * lab.seeds().len() * steps);
    let mut all: Vec<[Vec<Run>; 3]> = Vec::new();
    for rate in RATES {
        let of_kind = |kind: Kind| -> anyhow::Result<Vec<Run>> {
            lab.say(format!("{}, rate {rate}", kind.name()));
            lab.seeds().iter().map(|&seed| learn(lab, kind, rate, seed, steps)).collect()
        };
        let [batch, constant, moving] = Kind::ALL.map(of_kind);
        all.push([batch?, constant?, moving?]);
    }
    let over_seeds = |rate: usize, kind: usize, of: &dyn Fn(&Run) -> f64| {
        Spread::of(&all[rate][kind].iter().map(of).collect::<Vec<_>>())
    };
    // A network that has diverged ends early.
    let last = |run: &Run| {
        let end = &run.losses[run.losses.len().saturating_sub(LAST)..];
        if run.losses.len() < steps { f64::NAN } else { end.iter().sum::<f64>() / end.len() as f64 }
    };
    let component = |kind: usize, which: usize| over_seeds(0, kind, &|run| run.components[which]);
    let losses = [0, 1].map(|rate| [0, 1, 2].map(|kind| over_seeds(rate, kind, &last)));
    let worse = |kind: usize| {
        let loss = losses[1][kind].mean;
        !loss.is_finite() || loss >= 2.0 * losses[1][0].mean
    };
    let has_components = |kind: usize| component(kind, 0).mean > 0.01 && component(kind, 1).mean > 0.01;
    let parts = [
        component(0, 0).mean < 1e-3 && component(0, 1).mean < 1e-3,
        has_components(1) && has_components(2),
        worse(1) && worse(2),
    ];
    let said =
        |spread: Spread| if spread.mean.is_finite() { short(spread.mean) } else { "no number".to_owned() };
    let because = format!(
        "Components along the constant vector and x̂: {} and {} with the batch's statistics, {} and {} as constants, {} and {} with \
         the moving average. Loss at the rate of 1: {}, {} and {}.",
        said(component(0, 0)),
        said(component(0, 1)),
        said(component(1, 0)),
        said(component(1, 1)),
        said(component(2, 0)),
        said(component(2, 1)),
        said(losses[1][0]),
        said(losses[1][1]),
        said(losses[1][2]),
    );

    let mut findings = Vec::new();
    let series = |rate: usize, of: &dyn Fn(&Run) -> Vec<f64>| -> Vec<Series<'static>> {
        let curve = |(color, runs): (usize, &Vec<Run>)| {
            let curves: Vec<_> = runs.iter().map(of).collect();
            Series::of_steps(Kind::ALL[color].name(), color, Spread::of_curves(&curves))
        };
        all[rate].iter().enumerate().map(curve).collect()
    };
    let step = ("step", Scale::Linear);
    for (index, rate) in RATES.iter().enumerate() {
        findings.push(lines(
            &format!("Loss at a learning rate of {rate}, each the mean of 5 batches"),
            step,
            ("loss", Scale::Logarithmic),
            &series(index, &|run| smoothed(&run.losses, 5)),
        )?);
    }
    findings.push(lines(
        "The norm of all hidden weights at a learning rate of 1",
        step,
        ("norm", Scale::Logarithmic),
        &series(1, &|run| run.weights.clone()),
    )?);
    let rows = Kind::ALL.iter().enumerate().map(|(index, kind)| {
        let spread =
            |spread: Spread| if spread.mean.is_finite() { spread.to_string() } else { "diverged".to_owned() };
        vec![
            kind.name().to_owned(),
            spread(component(index, 0)),
            spread(component(index, 1)),
            spread(losses[0][index]),
            spread(losses[1][index]),
        ]
    });
    findings.push(Finding::table(
        "Components of the gradient, and the loss of the last steps: mean (least–most of the networks)",
        &["statistics", "along 1", "along x̂", "loss at 0.1", "loss at 1"],
        rows.collect(),
    ));
    findings.push(Finding::text(
        "The curves begin alike: the moving average begins with the first batch. What the components along 1 and x̂ would \
         change, the shift and the scale of a unit's values, the normalization takes back: without its derivative \
         the step is made all the same, in vain. ⟨dx, x̂⟩ is not exactly 0, since ε is part of the variance.",
    ));
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

fn learn(lab: &Lab, kind: Kind, rate: f64, seed: u64, steps: usize) -> anyhow::Result<Run> {
    let spec = Spec::new(4, 64, Nonlinearity::Relu).normalized();
    let mut net = spec.init(seed, &lab.device);
    let mut batches = Batches::new(&lab.digits.train, BATCH, seed, &lab.device);
    let mut descent = Descent::plain(rate);
    // The first batch sets the moving average; the components are those of the second one.
    let mut moving = net.forward_with_batch(batches.next().x).1;
    moving = moving.into_iter().map(Statistics::detach).collect();
    let components = components(&net, kind, &moving, &batches.next())?;
    let (mut losses, mut weights) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        let batch = batches.next();
        let logits = forward(&net, kind, &mut moving, batch.x, &mut |_, _, x| x);
        let (next, loss) = descent.step(net, &cross_entropy(logits, batch.target))?;
        net = next;
        if !loss.is_finite() {
            break;
        }
        losses.push(loss);
        weights.push(weights_of(&net)?);
        lab.tick();
    }
    Ok(Run { losses, weights, components })
}

fn weights_of(net: &Net) -> anyhow::Result<f64> {
    let norms = net.hidden.iter().map(|linear| norm(linear.weight.val()));
    let norms: Vec<f64> = norms.collect::<anyhow::Result<_>>()?;
    Ok(norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt())
}

/// The output in training with a kind of statistics; the moving average takes in the batch afterwards.
fn forward(
    net: &Net,
    kind: Kind,
    moving: &mut [Statistics],
    x: Tensor<2>,
    hook: &mut dyn FnMut(usize, Point, Tensor<2>) -> Tensor<2>,
) -> Tensor<2> {
    net.forward_by(x, hook, |layer, x| match (kind, moving.get_mut(layer), net.norms.get(layer)) {
        // Our layer.
        (Kind::Batch, _, Some(norm)) => norm.forward(x),
        (Kind::Moving, Some(moving), _) => {
            let batch = Statistics::of(x.clone().detach());
            let y = net.normalize(layer, moving, x);
            let mixed =
                |old: Tensor<2>, new: Tensor<2>| old.mul_scalar(1.0 - MOMENTUM) + new.mul_scalar(MOMENTUM);
            moving.mean = mixed(moving.mean.clone(), batch.mean);
            moving.var = mixed(moving.var.clone(), batch.var);
            y
        }
        _ => net.normalize(layer, &Statistics::of(x.clone().detach()), x),
    })
}

/// Of the gradient of what enters the normalizations: its share along the constant vector and along x̂.
fn components(net: &Net, kind: Kind, moving: &[Statistics], batch: &Batch) -> anyhow::Result<[f64; 2]> {
    let (mut entered, mut added) = (Vec::new(), Vec::new());
    let hook = &mut |_, point, x: Tensor<2>| {
        if point != Point::Linear {
            return x;
        }
        // The gradient of a 0 that is added to a tensor is the tensor's own.
        let zero = x.zeros_like().detach().require_grad();
        entered.push(x.clone());
        added.push(zero.clone());
        x + zero
    };
    let logits = forward(net, kind, &mut moving.to_vec(), batch.x.clone(), hook);
    let gradients = cross_entropy(logits, batch.target.clone()).backward();
    let (mut along_one, mut along_x) = (Vec::new(), Vec::new());
    for ((x, zero), moving) in entered.into_iter().zip(added).zip(moving) {
        let used = if kind == Kind::Moving { moving.clone() } else { Statistics::of(x.clone()) };
        let units = x.dims()[1];
        let dx = values(zero.grad(&gradients).context("there is no gradient of what was normalized")?)?;
        let [x, mean, var] = [x, used.mean, used.var].map(values);
        let (x, mean, var) = (x?, mean?, var?);
        for unit in 0..units {
            let of_unit =
                |all: &[f32]| -> Vec<f32> { all.iter().skip(unit).step_by(units).copied().collect() };
            let (dx, x) = (of_unit(&dx), of_unit(&x));
            let x: Vec<f32> = x.iter().map(|x| (x - mean[unit]) / (var[unit] + 1e-5).sqrt()).collect();
            let size = length(&dx);
            // A unit that no digit passes through has no gradient.
            if size > 0.0 {
                let dot = |other: &[f32]| -> f64 {
                    dx.iter().zip(other).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>().abs()
                };
                let one = vec![1.0; dx.len()];
                along_one.push(dot(&one) / (size * length(&one)));
                along_x.push(dot(&x) / (size * length(&x)));
            }
        }
    }
    Ok([Spread::of(&along_one).mean, Spread::of(&along_x).mean])
}
