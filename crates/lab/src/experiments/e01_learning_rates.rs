//! How fast networks learn at which learning rates.

use crate::chart::{Series, lines};
use crate::data::Batches;
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Nonlinearity, Spec};
use crate::train::{Descent, Spread, accuracy, cross_entropy, short};
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 1,
    slug: "learning-rates",
    title: "Higher learning rates",
    claim: "With batch normalization a network learns in fewer steps, and stands learning rates at which it does not learn \
            without.",
    source: "S. Ioffe and C. Szegedy, Batch Normalization, ICML 2015, sections 3.3 and 4.2.",
    method: "A network of 4 hidden layers of 64 ReLU units, He's weights, plain gradient descent on batches of 60 digits. \
             Counted are the steps until 95 % of the digits of the last five batches were recognized, each batch before its \
             own step, for each learning rate, with and without batch normalization; 120 steps at most. \
             Held if at the best rate of each the mean is lower with batch normalization, and if the highest rate \
             at which all networks get there is at least three times as high.",
    run,
};

const RATES: [f64; 7] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
const BATCH: usize = 60;
const MOST_STEPS: usize = 120;
const GOAL: f64 = 0.95;
const WINDOW: usize = 5;
/// How much higher the highest rate has to be.
const HIGHER: f64 = 3.0;
/// 0.3 is three times 0.1.
const ROUNDING: f64 = 1e-9;
const NAMES: [&str; 2] = ["with batch norm", "without"];

/// What a network came to.
struct Run {
    /// Of each step's loss.
    losses: Vec<f64>,
    /// Nothing if it did not get there.
    steps: Option<usize>,
}

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let most = lab.steps(MOST_STEPS);
    lab.expect(RATES.len() * NAMES.len() * lab.seeds().len() * most);
    let mut runs: [Vec<Vec<Run>>; 2] = Default::default();
    for (normalized, of_rates) in [true, false].into_iter().zip(&mut runs) {
        for rate in RATES {
            let runs = lab.seeds().iter().map(|&seed| learn(lab, normalized, rate, seed, most));
            of_rates.push(runs.collect::<anyhow::Result<_>>()?);
        }
    }

    // Those who did not get there count as the most steps, which favours them.
    let steps =
        |runs: &[Run]| -> Vec<f64> { runs.iter().map(|run| run.steps.unwrap_or(most) as f64).collect() };
    let spreads = runs
        .each_ref()
        .map(|of_rates| -> Vec<Spread> { of_rates.iter().map(|runs| Spread::of(&steps(runs))).collect() });
    let arrived = |runs: &[Run]| runs.iter().filter(|run| run.steps.is_some()).count();
    let best = |of_rates: &[Spread]| {
        let rates = of_rates.iter().zip(RATES);
        rates
            .min_by(|a, b| a.0.mean.total_cmp(&b.0.mean))
            .map_or((most as f64, 0.0), |(steps, rate)| (steps.mean, rate))
    };
    let highest = |of_rates: &[Vec<Run>]| {
        let rates = of_rates.iter().zip(RATES).filter(|(runs, _)| arrived(runs) == runs.len());
        rates.map(|(_, rate)| rate).fold(0.0, f64::max)
    };
    let [(fewest, at), (fewest_without, at_without)] = spreads.each_ref().map(|spreads| best(spreads));
    let [high, high_without] = runs.each_ref().map(|runs| highest(runs));
    let parts = [fewest < fewest_without, high > 0.0 && high >= (HIGHER - ROUNDING) * high_without];
    let because = format!(
        "At its best rate, {at}, batch normalization takes {fewest:.0} steps; without, {fewest_without:.0} at {at_without}. The \
         highest rate at which all networks get there is {high} with, {high_without} without."
    );

    let rows = RATES.iter().enumerate().map(|(index, rate)| {
        let cell = |which: usize| match (arrived(&runs[which][index]), lab.seeds().len()) {
            (0, _) => "none gets there".to_owned(),
            (count, all) if count == all => spreads[which][index].to_string(),
            (count, all) => format!("{} ({count} of {all})", spreads[which][index]),
        };
        vec![rate.to_string(), cell(0), cell(1)]
    });
    let steps_chart = [0, 1].map(|which| Series {
        name: NAMES[which],
        color: which,
        x: RATES.to_vec(),
        y: spreads[which].clone(),
    });
    let losses = [0, 1].map(|which| -> Vec<Series<'_>> {
        RATES
            .iter()
            .enumerate()
            .filter(|(index, _)| index % 2 == 0)
            .map(|(index, _)| {
                let curves: Vec<_> = runs[which][index].iter().map(|run| run.losses.clone()).collect();
                Series::of_steps(RATE_NAMES[index], index / 2, Spread::of_curves(&curves))
            })
            .collect()
    });
    let findings = vec![
        lines(
            "Steps to 95 % by the learning rate (the most if a network does not get there)",
            ("learning rate", Scale::Logarithmic),
            ("steps", Scale::Linear),
            &steps_chart,
        )?,
        lines(
            "Loss with batch norm, by rate",
            ("step", Scale::Linear),
            ("loss", Scale::Logarithmic),
            &losses[0],
        )?,
        lines("Loss without, by rate", ("step", Scale::Linear), ("loss", Scale::Logarithmic), &losses[1])?,
        Finding::table(
            "Steps to 95 %: mean (least–most)",
            &["learning rate", NAMES[0], NAMES[1]],
            rows.collect(),
        ),
        Finding::text(
            "Curves end where the first of the networks has got there or has diverged. The weights are the same with \
             and without batch normalization; the order of the digits, too.",
        ),
    ];
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

const RATE_NAMES: [&str; 7] = ["0.01", "0.03", "0.1", "0.3", "1", "3", "10"];

fn learn(lab: &Lab, normalized: bool, rate: f64, seed: u64, most: usize) -> anyhow::Result<Run> {
    lab.say(format!("rate {}, {}", short(rate), if normalized { NAMES[0] } else { NAMES[1] }));
    let spec = Spec::new(4, 64, Nonlinearity::Relu);
    let spec = if normalized { spec.normalized() } else { spec };
    let mut net = spec.init(seed, &lab.device);
    let mut batches = Batches::new(&lab.digits.train, BATCH, seed, &lab.device);
    let mut descent = Descent::plain(rate);
    let (mut losses, mut right) = (Vec::new(), Vec::new());
    for step in 1..=most {
        let batch = batches.next();
        let logits = net.forward(batch.x);
        right.push(accuracy(logits.clone(), &batch.labels)?);
        let (next, loss) = descent.step(net, &cross_entropy(logits, batch.target))?;
        net = next;
        losses.push(loss);
        lab.tick();
        let last = &right[right.len().saturating_sub(WINDOW)..];
        if right.len() >= WINDOW && last.iter().sum::<f64>() / WINDOW as f64 >= GOAL {
            return Ok(Run { losses, steps: Some(step) });
        }
        if !loss.is_finite() {
            break;
        }
    }
    Ok(Run { losses, steps: None })
}
