//! Gradients by layer in deep networks.

use crate::chart::{Series, lines};
use crate::data::{Batch, Batches};
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Net, Nonlinearity, Point, Spec};
use crate::train::{Descent, Spread, cross_entropy, largest, norm, short, values};
use anyhow::Context as _;
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 2,
    slug: "gradients",
    title: "Vanishing and exploding gradients",
    claim: "Batch normalization keeps the gradients of all layers of a deep network at about the same size, and keeps units \
            of sigmoid and tanh out of saturation.",
    source: "S. Ioffe and C. Szegedy, 2015, section 3.3. Against it: G. Yang et al., A Mean Field Theory of Batch \
             Normalization, ICLR 2019: gradients of normalized networks explode with depth before training.",
    method: "Networks of 10 and 20 hidden layers of 32 units before training, with the usual weights (variance 1/inputs, for \
             ReLU 2/inputs) and with weights three times as large. For each layer the norm of the gradient of its weights, \
             from one batch of 256 digits. Held if with batch normalization the largest is at most 100 times the smallest \
             in all cases, if that is exceeded in at least half of them without, and if with weights three times as large \
             fewer units are saturated (within 5 % of an end of the function's range). Then 10 layers are \
             trained for 30 steps.",
    run,
};

const DEPTHS: [usize; 2] = [10, 20];
const WIDTH: usize = 32;
const SAMPLES: usize = 256;
/// Of the weights, against the usual ones.
const FACTORS: [f64; 2] = [1.0, 3.0];
/// Between the layers of a network.
const WITHIN: f64 = 100.0;
const STEPS: usize = 30;
const RATE: f64 = 0.1;

/// A kind of network, and what its layers show.
struct Case {
    nonlinearity: Nonlinearity,
    depth: usize,
    factor: f64,
    normalized: bool,
    /// Of each layer, over seeds.
    gradients: Vec<Spread>,
    /// The largest gradient through the smallest; the worst of all seeds.
    ratio: f64,
    saturated: Spread,
}

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let cases = Nonlinearity::ALL.len() * DEPTHS.len() * FACTORS.len() * 2;
    let steps = lab.steps(STEPS);
    lab.expect((cases + Nonlinearity::ALL.len() * 2 * steps) * lab.seeds().len());
    let batch = Batch::first(&lab.digits.train, SAMPLES, &lab.device);
    let mut cases = Vec::new();
    for nonlinearity in Nonlinearity::ALL {
        for depth in DEPTHS {
            for factor in FACTORS {
                for normalized in [true, false] {
                    lab.say(format!("{depth} layers of {}", nonlinearity.name()));
                    cases.push(look(lab, &batch, nonlinearity, depth, factor, normalized)?);
                }
            }
        }
    }
    let trained = trained(lab, &batch, steps)?;

    let of = |normalized: bool| cases.iter().filter(move |case| case.normalized == normalized);
    let beyond =
        |normalized: bool| of(normalized).filter(|case| case.ratio.is_nan() || case.ratio > WITHIN).count();
    let worst = largest(of(true).map(|case| case.ratio));
    let large_and_bounded = |normalized: bool| {
        let cases =
            of(normalized).filter(|case| case.factor > 1.0 && case.nonlinearity != Nonlinearity::Relu);
        let shares: Vec<_> = cases.map(|case| case.saturated.mean).collect();
        Spread::of(&shares).mean
    };
    let [full, full_without] = [true, false].map(large_and_bounded);
    let parts = [beyond(true) == 0, 2 * beyond(false) >= of(false).count(), full < full_without];
    let because = format!(
        "With batch normalization the largest gradient is up to {} times the smallest, and in {} of {} cases more than {WITHIN}; \
         without, in {} of {}. With weights three times as large {:.0} % of the units are saturated with, {:.0} % \
         without.",
        short(worst),
        beyond(true),
        of(true).count(),
        beyond(false),
        of(false).count(),
        full * 100.0,
        full_without * 100.0,
    );

    let mut findings = Vec::new();
    for nonlinearity in Nonlinearity::ALL {
        let shown = cases.iter().filter(|case| case.nonlinearity == nonlinearity && case.depth == DEPTHS[1]);
        let series: Vec<_> = shown
            .map(|case| {
                let (color, name) = match (case.normalized, case.factor > 1.0) {
                    (true, false) => (0, "with batch norm"),
                    (false, false) => (1, "without"),
                    (true, true) => (5, "with, weights × 3"),
                    (false, true) => (4, "without, weights × 3"),
                };
                Series::of_steps(name, color, case.gradients.clone())
            })
            .collect();
        let title =
            format!("{} layers of {}: gradient by layer before training", DEPTHS[1], nonlinearity.name());
        findings.push(lines(&title, ("layer", Scale::Linear), ("norm", Scale::Logarithmic), &series)?);
    }
    let rows = cases.chunks(2).map(|pair| {
        let Some(case) = pair.first() else { return Vec::new() };
        let start =
            [case.nonlinearity.name().to_owned(), case.depth.to_string(), format!("× {}", case.factor)];
        let saturated = |case: &Case| match case.nonlinearity {
            Nonlinearity::Relu => "–".to_owned(),
            _ => case.saturated.percent(),
        };
        let ratios = pair.iter().map(|case| short(case.ratio));
        start.into_iter().chain(ratios).chain(pair.iter().map(saturated)).collect()
    });
    let head =
        ["", "layers", "weights", "ratio with", "ratio without", "saturated with", "saturated without"];
    findings.push(Finding::table(
        "Before training: the largest gradient of a layer through the smallest, and saturated units",
        &head,
        rows.collect(),
    ));
    findings.push(trained);
    findings.push(Finding::text(
        "In normalized networks gradients grow backwards by a factor of some 1.2 a layer with ReLU (Yang et al. derive \
         √(π/(π − 1)) = 1.21 for wide layers), whatever the size of the weights, since that is what normalization takes \
         away: tenfold in a dozen layers. A dash is a ratio with a gradient of 0 or beyond float32.",
    ));
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

fn look(
    lab: &Lab,
    batch: &Batch,
    nonlinearity: Nonlinearity,
    depth: usize,
    factor: f64,
    normalized: bool,
) -> anyhow::Result<Case> {
    let spec = Spec::new(depth, WIDTH, nonlinearity);
    let spec = Spec { gain: spec.gain * factor, ..if normalized { spec.normalized() } else { spec } };
    let (mut curves, mut shares, mut ratio) = (Vec::new(), Vec::new(), 0.0f64);
    for &seed in lab.seeds() {
        let net = spec.init(seed, &lab.device);
        let gradients = gradients(&net, batch)?;
        let of_seed = range(&gradients);
        ratio = largest([ratio, if of_seed.is_finite() { of_seed } else { f64::NAN }]);
        curves.push(gradients);
        shares.push(saturated(&net, batch)?);
        lab.tick();
    }
    let (gradients, saturated) = (Spread::of_curves(&curves), Spread::of(&shares));
    Ok(Case { nonlinearity, depth, factor, normalized, gradients, ratio, saturated })
}

/// The norm of the gradient of each hidden layer's weights.
fn gradients(net: &Net, batch: &Batch) -> anyhow::Result<Vec<f64>> {
    let loss = cross_entropy(net.forward(batch.x.clone()), batch.target.clone());
    let gradients = loss.backward();
    let of_layer = |linear: &burn::nn::Linear| {
        norm(linear.weight.val().grad(&gradients).context("a layer's weights have no gradient")?)
    };
    net.hidden.iter().map(of_layer).collect()
}

/// The largest gradient through the smallest.
fn range(gradients: &[f64]) -> f64 {
    largest(gradients.iter().copied()) / gradients.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The share of units, over all hidden layers and samples, within 5 % of an end of the function's range.
fn saturated(net: &Net, batch: &Batch) -> anyhow::Result<f64> {
    let beyond = match net.nonlinearity {
        Nonlinearity::Relu => return Ok(f64::NAN),
        // atanh(0.9), where 5 % of the range from −1 to 1 are left, and ln(19).
        Nonlinearity::Tanh => 1.472_f32,
        Nonlinearity::Sigmoid => 2.944,
    };
    let entries = net.trace(batch.x.clone(), Point::Entry);
    let mut shares = Vec::new();
    for entry in entries {
        let entry = values(entry)?;
        let count = entry.iter().filter(|value| value.abs() > beyond).count();
        shares.push(count as f64 / entry.len() as f64);
    }
    Ok(Spread::of(&shares).mean)
}

/// What a few steps make of the shallower networks.
fn trained(lab: &Lab, batch: &Batch, steps: usize) -> anyhow::Result<Finding> {
    let mut rows = Vec::new();
    for nonlinearity in Nonlinearity::ALL {
        for normalized in [true, false] {
            lab.say(format!("training {}", nonlinearity.name()));
            let spec = Spec::new(DEPTHS[0], WIDTH, nonlinearity);
            let spec = if normalized { spec.normalized() } else { spec };
            let (mut losses, mut shares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for &seed in lab.seeds() {
                let mut net = spec.init(seed, &lab.device);
                let mut batches = Batches::new(&lab.digits.train, 60, seed, &lab.device);
                let mut descent = Descent::plain(RATE);
                for _ in 0..steps {
                    let batch = batches.next();
                    let loss = cross_entropy(net.forward(batch.x), batch.target);
                    net = descent.step(net, &loss)?.0;
                    lab.tick();
                }
                losses.push(crate::train::scalar(cross_entropy(
                    net.forward(batch.x.clone()),
                    batch.target.clone(),
                ))?);
                shares.push(saturated(&net, batch)?);
                let gradients = gradients(&net, batch)?;
                ratios.push(range(&gradients));
            }
            rows.push(vec![
                nonlinearity.name().to_owned(),
                if normalized { "with" } else { "without" }.to_owned(),
                Spread::of(&losses).to_string(),
                Spread::of(&ratios).to_string(),
                if nonlinearity == Nonlinearity::Relu {
                    "–".to_owned()
                } else {
                    Spread::of(&shares).percent()
                },
            ]);
        }
    }
    let title = format!("{} layers after {steps} steps at a learning rate of {RATE}", DEPTHS[0]);
    Ok(Finding::table(&title, &["", "batch norm", "loss", "ratio of gradients", "saturated"], rows))
}
