//! The networks on a native adapter: their gradients are those of their loss, and both learn.

#![allow(missing_docs)]

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use wgpu_batchnorm::{Context, Options};
use wgpu_batchnorm_web::digits::{CLASSES, Digits, PIXELS};
use wgpu_batchnorm_web::measure::Bench;
use wgpu_batchnorm_web::train::{Activation, Arrangement, LayerValues, Settings, Trainer};

type Test = (&'static str, fn(&Context) -> Result<(), Failed>);

const TESTS: &[Test] = &[
    ("gradients_are_those_of_the_loss", gradients_are_those_of_the_loss),
    ("both_networks_learn", both_networks_learn),
    ("steps_repeat", steps_repeat),
    ("everything_can_be_changed_on_the_way", everything_can_be_changed_on_the_way),
    ("charts_show_what_there_is", charts_show_what_there_is),
    ("passes_are_right_and_measured", passes_are_right_and_measured),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let context = Context::new_blocking();
    let required = std::env::var_os("BATCH_NORM_REQUIRE_ADAPTER").is_some_and(|value| value == "1");
    let trial = |(name, test): &Test| {
        let (context, test) = (context.clone(), *test);
        let ignored = context.is_err() && !required;
        Trial::test(*name, move || test(&context?)).with_ignored_flag(ignored)
    };
    libtest_mimic::run(&arguments, TESTS.iter().map(trial).collect()).exit_code()
}

fn steps(trainer: &mut Trainer, count: usize) -> Result<(), Failed> {
    for _ in 0..count {
        pollster::block_on(trainer.step())?;
    }
    Ok(())
}

/// Every kernel of the page, forward and backward: the loss against one in f64, the gradients against its differences.
/// The batch sizes fill no block of `linear.wgsl`, so that its edges count too.
fn gradients_are_those_of_the_loss(context: &Context) -> Result<(), Failed> {
    for activation in Activation::ALL {
        for (arrangement, batch_size, depth) in
            [(Arrangement::NormalizationFirst, 5, 2), (Arrangement::ActivationFirst, 7, 1)]
        {
            let settings = Settings { depth, batch_size, activation, arrangement, ..Settings::default() };
            let mut trainer = Trainer::new(context, settings)?;
            // Until no bias or offset is 0 and no scale is 1.
            steps(&mut trainer, 3)?;
            let parameters = pollster::block_on(trainer.parameters())?;
            steps(&mut trainer, 1)?;
            let gradients = pollster::block_on(trainer.gradients())?;
            for (network, (parameters, gradients)) in parameters.iter().zip(&gradients).enumerate() {
                let mut model = Model {
                    layers: parameters.iter().map(widened).collect(),
                    arrangement: (network == 0).then_some(arrangement),
                    activation,
                };
                let what = format!("{activation:?}, {:?}", model.arrangement);
                let expected = model.loss(trainer.batch());
                let loss = trainer.progress()[network].losses.last().copied().unwrap_or(f32::NAN);
                let is_right = (f64::from(loss) - expected).abs() <= 1e-5 * expected;
                if !is_right {
                    return Err(format!("{what}: the loss is {loss}, expected {expected}").into());
                }
                for (layer, gradient) in gradients.iter().map(widened).enumerate() {
                    model
                        .check(trainer.batch(), layer, &gradient)
                        .map_err(|error| format!("{what}: {error}"))?;
                }
            }
        }
    }
    Ok(())
}

/// Weight, bias, scale and offset of a layer.
type Values = [Vec<f64>; 4];

fn widened(LayerValues { weight, bias, scale, offset }: &LayerValues) -> Values {
    [weight, bias, scale, offset].map(|values| values.iter().map(|&value| f64::from(value)).collect())
}

/// A network in f64, forward only.
struct Model {
    layers: Vec<Values>,
    /// None without batch normalization.
    arrangement: Option<Arrangement>,
    activation: Activation,
}

impl Model {
    /// The mean cross-entropy of the softmax.
    fn loss(&self, images: &Digits) -> f64 {
        let mut x: Vec<f64> = images.pixels.iter().map(|&pixel| f64::from(pixel)).collect();
        let mut inputs = PIXELS;
        for (layer, [weight, bias, scale, offset]) in self.layers.iter().enumerate() {
            let rows = x.chunks_exact(inputs);
            let mut z: Vec<f64> = rows.flat_map(|row| linear(row, weight, bias)).collect();
            inputs = bias.len();
            if layer + 1 < self.layers.len() {
                let activate = |z: &mut [f64]| z.iter_mut().for_each(|value| *value = self.activated(*value));
                match self.arrangement {
                    None => activate(&mut z),
                    Some(Arrangement::NormalizationFirst) => {
                        normalize(&mut z, scale, offset);
                        activate(&mut z);
                    }
                    Some(Arrangement::ActivationFirst) => {
                        activate(&mut z);
                        normalize(&mut z, scale, offset);
                    }
                }
            }
            x = z;
        }
        let of = |(logits, &label): (&[f64], &u32)| {
            logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[label as usize]
        };
        x.chunks_exact(CLASSES).zip(&images.labels).map(of).sum::<f64>() / images.len() as f64
    }

    fn activated(&self, v: f64) -> f64 {
        let logistic = 1.0 / (1.0 + (-v).exp());
        match self.activation {
            Activation::Relu => v.max(0.0),
            Activation::Silu => v * logistic,
            Activation::Sigmoid => logistic,
            Activation::Tanh => v.tanh(),
        }
    }

    /// Compares a layer's gradients with central differences: those of all vectors, and of every 13th weight, which are
    /// of all inputs and outputs.
    fn check(&mut self, images: &Digits, layer: usize, gradient: &Values) -> Result<(), String> {
        /// So small that hardly any unit crosses the kink of its activation.
        const STEP: f64 = 1e-7;
        let has_norm = self.arrangement.is_some() && layer + 1 < self.layers.len();
        for (tensor, name) in ["weight", "bias", "scale", "offset"].into_iter().enumerate() {
            if tensor >= 2 && !has_norm {
                continue;
            }
            let gradient = &gradient[tensor];
            let largest = gradient.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            for index in (0..gradient.len()).step_by(if tensor == 0 { 13 } else { 1 }) {
                let mut moved = |by: f64| {
                    let before = self.layers[layer][tensor][index];
                    self.layers[layer][tensor][index] = before + by;
                    let loss = self.loss(images);
                    self.layers[layer][tensor][index] = before;
                    loss
                };
                let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let got = gradient[index];
                // Not NaN either.
                let is_right = (got - expected).abs() <= 1e-4 * largest + 1e-6;
                if !is_right {
                    return Err(format!(
                        "layer {layer}: d{name}[{index}] is {got}, expected {expected} (largest {largest})"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn linear(row: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let product = |weight: &[f64]| row.iter().zip(weight).map(|(x, w)| x * w).sum::<f64>();
    weight.chunks_exact(row.len()).zip(bias).map(|(weight, bias)| product(weight) + bias).collect()
}

/// Batch normalization of the columns.
fn normalize(z: &mut [f64], scale: &[f64], offset: &[f64]) {
    let channels = scale.len();
    let rows = (z.len() / channels) as f64;
    for c in 0..channels {
        let column = || z.iter().skip(c).step_by(channels);
        let mean = column().sum::<f64>() / rows;
        let variance = column().map(|value| (value - mean).powi(2)).sum::<f64>() / rows;
        let gain = scale[c] / (variance + Options::new(channels).eps).sqrt();
        z.iter_mut().skip(c).step_by(channels).for_each(|value| *value = (*value - mean) * gain + offset[c]);
    }
}

fn both_networks_learn(context: &Context) -> Result<(), Failed> {
    for activation in Activation::ALL {
        for arrangement in [Arrangement::NormalizationFirst, Arrangement::ActivationFirst] {
            // The slope of a sigmoid is 1/4 at most: what three of them let through takes more and larger steps.
            let (learning_rate, count) =
                if activation == Activation::Sigmoid { (0.3, 240) } else { (0.1, 120) };
            let settings =
                Settings { depth: 3, learning_rate, activation, arrangement, ..Settings::default() };
            let mut trainer = Trainer::new(context, settings)?;
            steps(&mut trainer, count)?;
            let [with, without] = trainer.progress();
            let said =
                format!("{settings:?}: {:?} {:?}, {:?}", with.loss(), with.test_accuracy, without.loss());
            let first = without.losses.first().copied();
            // Sigmoids without normalization hardly learn in so few steps, which is what the page shows.
            let without_learns =
                activation == Activation::Sigmoid || without.loss() < first.map(|loss| 0.6 * loss);
            let with_learns = with.loss() < Some(0.5) && with.test_accuracy > Some(0.85);
            if !with_learns || !without_learns {
                return Err(said.into());
            }
        }
    }
    Ok(())
}

fn steps_repeat(context: &Context) -> Result<(), Failed> {
    let run = || -> Result<_, Failed> {
        let mut trainer = Trainer::new(context, Settings::default())?;
        steps(&mut trainer, 5)?;
        let first = trainer.progress().clone().map(|progress| progress.losses);
        trainer.restart(Settings::default())?;
        steps(&mut trainer, 5)?;
        Ok([first, trainer.progress().clone().map(|progress| progress.losses)])
    };
    let [first, again] = run()?;
    assert_eq!(first, again);
    assert_ne!(first[0], first[1]);
    Ok(())
}

fn everything_can_be_changed_on_the_way(context: &Context) -> Result<(), Failed> {
    let mut trainer = Trainer::new(context, Settings { depth: 2, ..Settings::default() })?;
    steps(&mut trainer, 30)?;
    let before = trainer.progress()[0].loss();
    for settings in [
        Settings { depth: 2, batch_size: 2, learning_rate: 0.001, ..Settings::default() },
        Settings { depth: 2, batch_size: 256, activation: Activation::Tanh, ..Settings::default() },
        Settings { depth: 2, arrangement: Arrangement::ActivationFirst, ..Settings::default() },
    ] {
        trainer.set(settings)?;
        steps(&mut trainer, 2)?;
    }
    // They went on, with the weights that there were.
    assert_eq!((trainer.steps(), trainer.progress()[1].losses.len()), (36, 36));
    assert!(trainer.progress()[0].losses[31] < 2.0 * before.unwrap_or(0.0) + 1.0);
    assert!(trainer.set(Settings { batch_size: 1, ..Settings::default() }).is_err());
    assert_eq!(trainer.settings().depth, 2);
    trainer.set(Settings { depth: 5, ..Settings::default() })?;
    assert_eq!(trainer.steps(), 0);
    steps(&mut trainer, 1)?;
    let [with, _] = trainer.progress();
    assert_eq!((with.norms.len(), with.histograms.len()), (6, 5));
    Ok(())
}

fn charts_show_what_there_is(context: &Context) -> Result<(), Failed> {
    let mut trainer = Trainer::new(context, Settings::default())?;
    trainer.charts(300)?;
    steps(&mut trainer, 3)?;
    for progress in trainer.progress() {
        assert!(progress.norms.iter().all(|norm| *norm > 0.0 && norm.is_finite()), "{progress:?}");
        for shares in &progress.histograms {
            let sum: f32 = shares.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "{shares:?}");
        }
    }
    let charts = trainer.charts(700)?;
    assert_eq!(charts.histograms.matches("<polygon").count(), 2 * trainer.settings().depth);
    assert_eq!(charts.gradients.matches("<circle").count(), 2 * (trainer.settings().depth + 1));
    assert!(charts.loss.contains("with batch normalization"));
    Ok(())
}

fn passes_are_right_and_measured(context: &Context) -> Result<(), Failed> {
    let rows = pollster::block_on(async {
        let bench = Bench::new(context).await?;
        // Asked once before it is too late, and once after.
        let asked = std::cell::Cell::new(0);
        let is_cancelled = || asked.replace(asked.get() + 1) > 0;
        assert!(bench.measure(&[4, 16, 14, 14], &is_cancelled).await?.is_none());
        assert_eq!(asked.get(), 2);
        bench.measure(&[4, 16, 14, 14], &|| false).await
    });
    let rows = rows.map_err(|error| format!("{error:#}"))?.ok_or("rows")?;
    assert_eq!(rows.iter().map(|row| row.pass).collect::<Vec<_>>(), ["copy", "forward", "backward"]);
    assert!(rows.iter().all(|row| row.time.median_ms > 0.0));
    assert!(rows.iter().all(|row| row.accuracy.is_none_or(|accuracy| accuracy.passed)), "{rows:?}");
    Ok(())
}
