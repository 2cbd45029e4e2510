//! Which statistics to infer with.

use crate::chart::{Series, lines};
use crate::data::{Batch, Batches};
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Net, Nonlinearity, Spec, Statistics};
use crate::train::{Descent, Spread, accuracy, cross_entropy, test_set};
use burn::module::Module as _;
use burn::tensor::Tensor;
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 7,
    slug: "inference",
    title: "Statistics in inference",
    claim: "For inference the moving average is as good as the exact statistics of all training data once it has caught up, \
            which takes it a few dozen steps; the statistics of the batch at hand do harm where it is small.",
    source: "S. Ioffe and C. Szegedy, 2015, section 3.1 and algorithm 2; Y. Wu and J. Johnson, Rethinking \u{201c}Batch\u{201d} in \
             BatchNorm, 2021, section 3.",
    method: "A network of 3 hidden layers of 64 ReLU units with batch normalization, 120 steps at a learning rate of 0.1 on \
             batches of 60 digits, momentum 0.1. On the way and at the end the 297 test digits are recognized with the moving \
             average, with the exact mean and variance of all 1,500 training digits, and with the statistics of evaluation \
             batches of 2 to 297. Held if at the end the moving average is within 1 point of the exact one, if after 5 steps \
             it is at least 10 points below it, and if batches of 2 lose at least 5 points at the end \
             while those of 64 are within 2.",
    run,
};

const STEPS: usize = 120;
const BATCH: usize = 60;
const RATE: f64 = 0.1;
/// After how many steps the test digits are recognized.
const LOOKS: [usize; 9] = [1, 2, 5, 10, 15, 20, 30, 60, 120];
const EARLY: usize = 5;
const SIZES: [usize; 7] = [2, 4, 8, 16, 32, 64, 297];

struct Run {
    /// At each look: with the moving average, the exact statistics, and those of the test set as a batch.
    accuracies: Vec<[f64; 3]>,
    /// At the end, for each size of evaluation batches.
    of_sizes: Vec<f64>,
}

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let steps = lab.steps(STEPS);
    lab.expect(steps * lab.seeds().len());
    let runs: Vec<Run> =
        lab.seeds().iter().map(|&seed| learn(lab, seed, steps)).collect::<anyhow::Result<_>>()?;
    let looks: Vec<_> = LOOKS.into_iter().filter(|&look| look <= steps).collect();
    let at = |look: usize, which: usize| {
        Spread::of(&runs.iter().map(|run| run.accuracies[look][which]).collect::<Vec<_>>())
    };
    let of_size = |size: usize| Spread::of(&runs.iter().map(|run| run.of_sizes[size]).collect::<Vec<_>>());
    let last = looks.len().saturating_sub(1);
    let early = looks.iter().position(|&look| look == EARLY).unwrap_or(last);
    let [moving, exact] = [0, 1].map(|which| at(last, which).mean);
    let lag = at(early, 1).mean - at(early, 0).mean;
    let size_of = |size: usize| SIZES.iter().position(|&other| other == size).unwrap_or(0);
    let (small, large) = (of_size(size_of(2)).mean, of_size(size_of(64)).mean);
    let parts =
        [(moving - exact).abs() <= 0.01, lag >= 0.1, exact - small >= 0.05 && (exact - large).abs() <= 0.02];
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let because = format!(
        "At the end: {} with the moving average, {} with exact statistics; after {EARLY} steps the moving average is {:.0} points \
         below. Batches of 2: {}, of 64: {}.",
        percent(moving),
        percent(exact),
        lag * 100.0,
        percent(small),
        percent(large),
    );

    const NAMES: [&str; 3] = ["moving average", "exact statistics", "the test set as one batch"];
    let series = [0, 1, 2].map(|which| Series {
        name: NAMES[which],
        color: which,
        x: looks.iter().map(|&look| look as f64).collect(),
        y: (0..looks.len()).map(|look| at(look, which)).collect(),
    });
    let x: Vec<_> = SIZES.map(|size| size as f64).to_vec();
    let level = |which: usize, color: usize| Series {
        name: NAMES[which],
        color,
        x: x.clone(),
        y: vec![at(last, which); x.len()],
    };
    let sizes = [
        level(0, 0),
        level(1, 1),
        Series {
            name: "the batch at hand",
            color: 3,
            x: x.clone(),
            y: (0..SIZES.len()).map(of_size).collect(),
        },
    ];
    let rows = looks.iter().enumerate().map(|(index, look)| {
        [look.to_string()].into_iter().chain([0, 1, 2].map(|which| at(index, which).percent())).collect()
    });
    let rows: Vec<_> = rows.collect();
    let of_sizes =
        SIZES.iter().enumerate().map(|(index, size)| vec![size.to_string(), of_size(index).percent()]);
    let findings = vec![
        lines(
            "Test accuracy on the way",
            ("step", Scale::Logarithmic),
            ("accuracy", Scale::Linear),
            &series,
        )?,
        lines(
            "Test accuracy at the end by the size of evaluation batches",
            ("digits in a batch", Scale::Logarithmic),
            ("accuracy", Scale::Linear),
            &sizes,
        )?,
        Finding::table(
            "Test accuracy: mean (least–most)",
            &["after steps", NAMES[0], NAMES[1], NAMES[2]],
            rows,
        ),
        Finding::table(
            "At the end, with the statistics of the batch at hand",
            &["digits in a batch", "accuracy"],
            of_sizes.collect(),
        ),
        Finding::text(format!(
            "With a momentum of 0.1 the start, mean 0 and variance 1, still weighs 0.9ⁿ after n steps: {:.0} % after 5 and \
             {:.1} % after 60. A batch of one digit has no variance at all: every unit would give its offset. Cumulative \
             momentum, an option of the layer, takes the plain mean of all batches, but the early ones are of another network.",
            0.9f64.powi(5) * 100.0,
            0.9f64.powi(60) * 100.0
        )),
    ];
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

fn learn(lab: &Lab, seed: u64, steps: usize) -> anyhow::Result<Run> {
    let spec = Spec::new(3, 64, Nonlinearity::Relu).normalized();
    let mut net = spec.init(seed, &lab.device);
    let mut batches = Batches::new(&lab.digits.train, BATCH, seed, &lab.device);
    let mut descent = Descent::plain(RATE);
    let mut accuracies = Vec::new();
    let test = test_set(&lab.digits, &lab.device);
    let train = Batch::of(&lab.digits.train, &lab.device.clone().without_autodiff());
    for step in 1..=steps {
        let batch = batches.next();
        let loss = cross_entropy(net.forward(batch.x), batch.target);
        net = descent.step(net, &loss)?.0;
        lab.tick();
        if LOOKS.contains(&step) {
            let net = net.valid();
            let (_, exact) = net.forward_with_batch(train.x.clone());
            let outputs = [
                net.forward(test.x.clone()),
                net.forward_with_given(test.x.clone(), &exact),
                net.forward_with_batch(test.x.clone()).0,
            ];
            let [moving, exact, batch] = outputs.map(|output| accuracy(output, &test.labels));
            accuracies.push([moving?, exact?, batch?]);
        }
    }
    let net = net.valid();
    let of_sizes = SIZES.iter().map(|&size| by_batches(lab, &net, size));
    Ok(Run { accuracies, of_sizes: of_sizes.collect::<anyhow::Result<_>>()? })
}

/// The share of test digits that are recognized in batches of a size; the last, incomplete one is left out. All batches go
/// through the linear layers together.
fn by_batches(lab: &Lab, net: &Net, size: usize) -> anyhow::Result<f64> {
    let count = lab.digits.test.len() / size;
    let batch = Batch::first(&lab.digits.test, count * size, &lab.device.clone().without_autodiff());
    let output = net.forward_by(batch.x, &mut |_, _, x| x, |layer, x| {
        let units = x.dims()[1];
        let (var, mean) = x.clone().reshape([count, size, units]).var_mean_bias(1);
        let of_each = |of_batch: Tensor<3>| of_batch.repeat_dim(1, size).reshape([count * size, units]);
        let statistics = Statistics { mean: of_each(mean), var: of_each(var) };
        net.normalize(layer, &statistics, x)
    });
    accuracy(output, &batch.labels)
}
