//! What scale and offset are for.

use crate::chart::{self, Series};
use crate::data::Batch;
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Nonlinearity, Point, Spec};
use crate::train::{Schedule, Spread, accuracy, fit, largest, short, smoothed, test_set, values};
use burn::module::{Module as _, Param};
use burn::tensor::{Tensor, TensorData};
use burn_batchnorm::BatchNormConfig;
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 11,
    slug: "scale-and-offset",
    title: "Scale and offset",
    claim: "With γ = σ and β = μ the layer is the identity, so that normalization takes no function away from the network; \
            networks with scale and offset fit better than those without.",
    source: "S. Ioffe and C. Szegedy, Batch Normalization, ICML 2015, section 3: “we make sure that the transformation \
             inserted in the network can represent the identity transform”.",
    method: "256 digits pass through a random linear layer of 64 units, are scaled and shifted, and normalized in training \
             mode with γ = √(σ² + ε) and β = μ of the batch, taken in float64; the output is compared with the input. It \
             should be within 10⁻⁶ (max|γ·x̂| + |β|), which is some 16 roundings of float32. Then networks with 2 hidden \
             layers of 32 units are trained with and without γ and β, 60 steps of 64 digits, 2 seeds; with them the mean \
             loss of the last 20 steps should be lower, for ReLU and for tanh.",
    run,
};

const SAMPLES: usize = 256;
const UNITS: usize = 64;
const EPSILON: f64 = 1e-5;
const IDENTITY: f64 = 1e-6;
const STEPS: usize = 60;
const LAST: usize = 20;
const RATE: f64 = 0.1;

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    lab.expect(4 * lab.two_seeds().len() * lab.steps(STEPS));
    let (identity, worst) = identity(lab)?;
    let mut findings = vec![
        identity,
        Finding::text(
            "With γ = σ, what is scaled back is x̂ = (x − μ) / √(σ² + ε), so that the input returns but for the factor \
             σ / √(σ² + ε): where σ² is far above ε nobody sees it, where it is below, most of the input is lost. That is \
             ε's doing, and why ε is small.",
        ),
    ];
    let mut parts = vec![worst < IDENTITY];
    let (mut rows, mut curves, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    for kind in [Nonlinearity::Relu, Nonlinearity::Tanh] {
        let mut last = Vec::new();
        for affine in [true, false] {
            let name = format!("{}, {} γ and β", kind.name(), if affine { "with" } else { "without" });
            lab.say(name.clone());
            let spec = Spec { affine, ..Spec::new(2, 32, kind).normalized() };
            let runs = lab.two_seeds().iter().map(|&seed| train(lab, &spec, seed));
            let runs = runs.collect::<anyhow::Result<Vec<_>>>()?;
            let late = |run: &Run| {
                let late = &run.losses[run.losses.len().saturating_sub(LAST)..];
                late.iter().sum::<f64>() / late.len() as f64
            };
            let loss = Spread::of(&runs.iter().map(late).collect::<Vec<_>>());
            let right = Spread::of(&runs.iter().map(|run| run.accuracy).collect::<Vec<_>>());
            let learnt =
                |values: fn(&Run) -> &[f32]| match runs.iter().flat_map(values).copied().reduce(f32::min) {
                    Some(least) => {
                        let most = runs.iter().flat_map(values).copied().fold(f32::MIN, f32::max);
                        format!("{least:.2} to {most:.2}")
                    }
                    None => "–".to_owned(),
                };
            rows.push(vec![
                name.clone(),
                loss.to_string(),
                right.percent(),
                learnt(|run| &run.gamma),
                learnt(|run| &run.beta),
            ]);
            curves.push((
                name,
                Spread::of_curves(&runs.iter().map(|run| smoothed(&run.losses, 10)).collect::<Vec<_>>()),
            ));
            last.push(loss.mean);
        }
        parts.push(last[0] < last[1]);
        losses.push(format!("{} with and {} without, {}", short(last[0]), short(last[1]), kind.name()));
    }
    findings.push(Finding::table(
        "Networks with and without γ and β: mean, least and largest of all seeds",
        &["network", "loss of the last 20 steps", "accuracy on the test set", "γ learnt", "β learnt"],
        rows,
    ));
    let colors = [0, 5, 1, 4];
    let series = curves.into_iter().zip(colors);
    let series: Vec<_> = series.collect();
    let series = series.iter().map(|((name, y), color)| Series::of_steps(name, *color, y.clone()));
    findings.push(chart::lines(
        "Cross entropy in training, mean of 10 steps; bands are the ends of all seeds",
        ("steps", Scale::Linear),
        ("loss", Scale::Logarithmic),
        &series.collect::<Vec<_>>(),
    )?);
    let because = format!(
        "The input returns within {worst:.1e} of (max|γ·x̂| + |β|); the loss of the last {LAST} steps is {}.",
        losses.join(", and ")
    );
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

/// Whether the input returns: its errors, and the largest of them.
fn identity(lab: &Lab) -> anyhow::Result<(Finding, f64)> {
    let batch = Batch::first(&lab.digits.train, SAMPLES, &lab.device);
    let net = Spec::new(1, UNITS, Nonlinearity::Relu).init(1, &lab.device);
    let features = net.trace(batch.x, Point::Linear).pop();
    let features = features.map(values).transpose()?.unwrap_or_default();
    let cases = [
        ("features of digits", 1.0, 0.0),
        ("a thousand times as large", 1e3, 0.0),
        ("a thousandth", 1e-3, 0.0),
        ("mean 100 higher", 1.0, 100.0),
        ("mean 10,000 higher", 1.0, 1e4),
    ];
    let (mut rows, mut worst) = (Vec::new(), 0.0f64);
    for (name, scale, shift) in cases {
        let x: Vec<f32> = features.iter().map(|value| value * scale + shift).collect();
        let [exact, plain] = [EPSILON, 0.0].map(|epsilon| restored(lab, &x, epsilon));
        let (exact, plain) = (exact?, plain?);
        worst = largest([worst, exact]);
        rows.push(vec![name.to_owned(), format!("{exact:.1e}"), format!("{plain:.1e}")]);
    }
    let finding = Finding::table(
        "The largest difference of output and input, over max|γ·x̂| + |β| of the channel",
        &["input", "γ = √(σ² + ε), β = μ", "γ = σ, β = μ"],
        rows,
    );
    Ok((finding, worst))
}

/// The largest error of the layer as an identity, where γ = √(σ² + epsilon).
fn restored(lab: &Lab, x: &[f32], epsilon: f64) -> anyhow::Result<f64> {
    let samples = x.len() / UNITS;
    let statistics = |unit: usize| {
        let values = || x.iter().skip(unit).step_by(UNITS).map(|value| f64::from(*value));
        let mean = values().sum::<f64>() / samples as f64;
        (mean, values().map(|value| (value - mean).powi(2)).sum::<f64>() / samples as f64)
    };
    let (mean, variance): (Vec<f64>, Vec<f64>) = (0..UNITS).map(statistics).unzip();
    let parameter = |values: Vec<f32>| {
        Some(Param::from_tensor(Tensor::from_data(TensorData::new(values, [UNITS]), &lab.device)))
    };
    let mut layer = BatchNormConfig::new(UNITS).with_epsilon(EPSILON).init(&lab.device);
    layer.gamma = parameter(variance.iter().map(|variance| (variance + epsilon).sqrt() as f32).collect());
    layer.beta = parameter(mean.iter().map(|mean| *mean as f32).collect());
    let input = Tensor::<2>::from_data(TensorData::new(x.to_vec(), [samples, UNITS]), &lab.device);
    let y = values(layer.forward(input))?;
    let error = |unit: usize| {
        let pairs =
            || x.iter().zip(&y).skip(unit).step_by(UNITS).map(|(x, y)| (f64::from(*x), f64::from(*y)));
        let deviation = largest(pairs().map(|(x, _)| (x - mean[unit]).abs()));
        largest(pairs().map(|(x, y)| (x - y).abs())) / (deviation + mean[unit].abs())
    };
    Ok(largest((0..UNITS).map(error)))
}

/// A trained network.
struct Run {
    losses: Vec<f64>,
    accuracy: f64,
    /// Of all layers; none without.
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

fn train(lab: &Lab, spec: &Spec, seed: u64) -> anyhow::Result<Run> {
    let schedule = Schedule { batch: 64, steps: lab.steps(STEPS), seed, rate: RATE };
    let net = spec.init(seed, &lab.device);
    let (net, losses) =
        fit(lab, &lab.digits.train, schedule, net, |net, batch| net.forward(batch.x.clone()))?;
    let test = test_set(&lab.digits, &lab.device);
    let net = net.valid();
    let all = |parameters: Vec<&Option<Param<Tensor<1>>>>| -> anyhow::Result<Vec<f32>> {
        let layers = parameters.into_iter().flatten().map(|parameter| values(parameter.val()));
        Ok(layers.collect::<anyhow::Result<Vec<_>>>()?.concat())
    };
    Ok(Run {
        losses,
        accuracy: accuracy(net.forward(test.x), &test.labels)?,
        gamma: all(net.norms.iter().map(|norm| &norm.gamma).collect())?,
        beta: all(net.norms.iter().map(|norm| &norm.beta).collect())?,
    })
}
