//! How smooth the loss is along the way.

use crate::chart::{Series, lines};
use crate::data::{Batch, Batches};
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Net, Nonlinearity, Spec};
use crate::train::{Descent, Spread, cross_entropy, largest, length, scalar, short, values};
use anyhow::Context as _;
use burn::optim::{GradientsParams, SgdConfig};
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 4,
    slug: "smoothness",
    title: "A smoother loss",
    claim: "Batch normalization makes the loss smoother along the way: it varies less along the gradient, the gradient says more \
            about the next one, and the effective β-smoothness is better.",
    source: "S. Santurkar et al., 2018, section 3.1 and figure 4.",
    method: "Networks of 8 hidden layers of 64 ReLU units, the same He weights, 50 steps at a learning rate of 0.1 on batches of \
             60 digits. Every fifth step tries five steps of other lengths along the same gradient, from a half to four times \
             the learning rate, with the same batch. The variation is the largest loss less the smallest; the change of \
             the gradient is the distance of the largest from the one at hand; β is the largest change \
             of the gradient through the way. Gradients are those of the hidden weights. Held if the mean \
             of all looks is lower with batch normalization in all three.",
    run,
};

const DEPTH: usize = 8;
const STEPS: usize = 50;
const EVERY: usize = 5;
const RATE: f64 = 0.1;
/// Lengths of the steps that are tried, in learning rates.
const LENGTHS: [f64; 5] = [0.5, 1.0, 2.0, 3.0, 4.0];
const NAMES: [&str; 2] = ["with batch norm", "without"];

/// What is seen from a point on the way.
#[derive(Clone, Copy)]
struct Look {
    least: f64,
    most: f64,
    /// The largest, among the steps.
    change: f64,
    beta: f64,
}

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let steps = lab.steps(STEPS);
    lab.expect(NAMES.len() * lab.seeds().len() * steps);
    let mut all: Vec<Vec<(Vec<f64>, Vec<Look>)>> = Vec::new();
    for normalized in [true, false] {
        lab.say(NAMES[usize::from(!normalized)]);
        let runs = lab.seeds().iter().map(|&seed| learn(lab, normalized, seed, steps));
        all.push(runs.collect::<anyhow::Result<_>>()?);
    }
    type Measure = fn(&Look) -> f64;
    let measures: [(&str, Measure); 3] = [
        ("Variation of the loss", |look| look.most - look.least),
        ("Change of the gradient", |look| look.change),
        ("Effective β", |look| look.beta),
    ];
    // The mean of a network's looks.
    let whole = |measure: Measure, which: usize| {
        let of_run =
            |run: &(Vec<f64>, Vec<Look>)| Spread::of(&run.1.iter().map(measure).collect::<Vec<_>>()).mean;
        Spread::of(&all[which].iter().map(of_run).collect::<Vec<_>>())
    };
    let wholes = measures.map(|(name, measure)| (name, [0, 1].map(|which| whole(measure, which))));
    let parts = wholes.map(|(_, [with, without])| with.mean < without.mean);
    let said = wholes.map(|(name, [with, without])| {
        format!("{}: {} with, {} without", name.to_lowercase(), short(with.mean), short(without.mean))
    });
    let because = format!("{}.", said.join("; "));

    let mut findings = Vec::new();
    for (name, measure) in measures {
        let series = [0, 1].map(|which| {
            let curves: Vec<Vec<f64>> =
                all[which].iter().map(|(_, looks)| looks.iter().map(measure).collect()).collect();
            let y = Spread::of_curves(&curves);
            let x = (0..y.len()).map(|look| (look * EVERY + 1) as f64).collect();
            Series { name: NAMES[which], color: which, x, y }
        });
        findings.push(lines(name, ("step", Scale::Linear), (name, Scale::Logarithmic), &series)?);
    }
    let losses = [0, 1].map(|which| {
        let curves: Vec<_> = all[which].iter().map(|run| run.0.clone()).collect();
        Series::of_steps(NAMES[which], which, Spread::of_curves(&curves))
    });
    findings.push(lines(
        "Loss of the batches",
        ("step", Scale::Linear),
        ("loss", Scale::Logarithmic),
        &losses,
    )?);
    let row = |(name, [with, without]): &(&str, [Spread; 2])| {
        let times = short(without.mean / with.mean);
        vec![(*name).to_owned(), with.to_string(), without.to_string(), times]
    };
    findings.push(Finding::table(
        "Mean of all looks (least–most of the networks)",
        &["", NAMES[0], NAMES[1], "without / with"],
        wholes.iter().map(row).collect(),
    ));
    findings.push(Finding::text(
        "Values are those of the loss itself, as in the paper; they depend on how far training is and on the size of the \
         gradient, which a network has less of once it has learned.",
    ));
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

fn learn(lab: &Lab, normalized: bool, seed: u64, steps: usize) -> anyhow::Result<(Vec<f64>, Vec<Look>)> {
    let spec = Spec::new(DEPTH, 64, Nonlinearity::Relu);
    let mut net = if normalized { spec.normalized() } else { spec }.init(seed, &lab.device);
    let mut batches = Batches::new(&lab.digits.train, 60, seed, &lab.device);
    let mut descent = Descent::plain(RATE);
    let (mut losses, mut looks) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let batch = batches.next();
        if step % EVERY == 0 {
            looks.push(look(&net, &batch)?);
        }
        let loss = cross_entropy(net.forward(batch.x), batch.target);
        let (next, loss) = descent.step(net, &loss)?;
        net = next;
        losses.push(loss);
        lab.tick();
    }
    Ok((losses, looks))
}

/// Tries steps along the gradient; the network's weights stay as they are. The clones share its running statistics, which move,
/// and which training does not read.
fn look(net: &Net, batch: &Batch) -> anyhow::Result<Look> {
    let (loss, gradients) = gradient(net, batch)?;
    let here = of_hidden(net, &gradients)?;
    let mut look = Look { least: loss, most: loss, change: 0.0, beta: 0.0 };
    for factor in LENGTHS {
        let there = SgdConfig::new().init().step(RATE * factor, net.clone(), copy(net, &gradients));
        let (loss, other) = gradient(&there, batch)?;
        let other = of_hidden(&there, &other)?;
        (look.least, look.most) = (look.least.min(loss), largest([look.most, loss]));
        let change: Vec<_> = here.iter().zip(&other).map(|(a, b)| b - a).collect();
        look.change = largest([look.change, length(&change)]);
        look.beta = largest([look.beta, length(&change) / (RATE * factor * length(&here))]);
    }
    Ok(look)
}

/// The loss and its gradients.
fn gradient(net: &Net, batch: &Batch) -> anyhow::Result<(f64, GradientsParams)> {
    let loss = cross_entropy(net.forward(batch.x.clone()), batch.target.clone());
    let gradients = GradientsParams::from_grads(loss.backward(), net);
    Ok((scalar(loss)?, gradients))
}

/// The gradient of all hidden weights.
fn of_hidden(net: &Net, gradients: &GradientsParams) -> anyhow::Result<Vec<f32>> {
    let mut all = Vec::new();
    for linear in &net.hidden {
        all.extend(values(
            gradients.get::<2>(linear.weight.id).context("a layer's weights have no gradient")?,
        )?);
    }
    Ok(all)
}

/// The same gradients once more, since a step takes them.
fn copy(net: &Net, gradients: &GradientsParams) -> GradientsParams {
    let mut copy = GradientsParams::new();
    for linear in net.hidden.iter().chain([&net.head]) {
        if let Some(gradient) = gradients.get::<2>(linear.weight.id) {
            copy.register::<2>(linear.weight.id, gradient);
        }
    }
    let biases = net.hidden.iter().chain([&net.head]).filter_map(|linear| linear.bias.as_ref());
    let of_norms = net.norms.iter().flat_map(|norm| [&norm.gamma, &norm.beta]).flatten();
    for id in biases.chain(of_norms).map(|parameter| parameter.id) {
        if let Some(gradient) = gradients.get::<1>(id) {
            copy.register::<1>(id, gradient);
        }
    }
    copy
}
