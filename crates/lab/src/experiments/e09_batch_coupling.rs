//! Samples that share statistics: how one changes another's output, and what that does for generalization.

use crate::chart::{self, Series};
use crate::data::Batch;
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Net, Nonlinearity, Spec, linear};
use crate::train::{Schedule, Spread, accuracy, cross_entropy, fit, largest, scalar, values};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation};
use burn_batchnorm::{BatchNorm, BatchNormConfig};
use wgpu_batchnorm_digits::{CLASSES, Digits, PIXELS};
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 9,
    slug: "batch-coupling",
    title: "Batch coupling and regularization",
    claim: "In training a sample's output depends on its batch mates, by a noise that falls with the square root of the \
            batch's size; in inference it does not. The noise regularizes: the fewer samples share statistics, the smaller \
            is the gap between training and test.",
    source: "S. Ioffe and C. Szegedy, 2015, section 3.4; P. Luo et al., Towards Understanding Regularization in Batch \
             Normalization, ICLR 2019.",
    method: "First: a trained network (2 hidden layers of 64 units) sees a test digit with 16 choices of batch mates, for 4 \
             digits and batches of 2 to 128. The noise is the standard deviation of its logits over the choices, over that \
             of the logits of all test digits. Then: networks are trained with 256 digits alone, 80 steps of 64, 2 seeds. \
             All have the same batches; what changes is how many of the 64 samples share statistics (ghost batches), so \
             that the gradient's own noise stays as it is. The gap is the mean loss on the test set less that on the \
             training set, both in inference. The parts of the claim: the slope of the noise over the size, both as \
             logarithms, is between −0.7 and −0.3; inference changes by less than 0.00001; and the gap is smaller with \
             groups of 4 than with one of 64, with every seed.",
    run,
};

const WIDTH: usize = 64;
const HIDDEN: usize = 2;
const RATE: f64 = 0.1;
const BATCH: usize = 64;
const STEPS: usize = 80;
/// Few, so that networks can learn them by heart.
const SAMPLES: usize = 256;

const SIZES: [usize; 4] = [2, 8, 32, 128];
const FOCUS: usize = 4;
const CHOICES: usize = 16;
const SLOPES: std::ops::Range<f64> = -0.7..-0.3;
const NONE: f64 = 1e-5;

/// Samples that share statistics, of a batch's 64; 0 is a network without batch norm.
const SHARING: [usize; 4] = [4, 16, 64, 0];
const SMALL: usize = 0;
const MIDDLE: usize = 1;
const WHOLE: usize = 2;

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    lab.expect((1 + SHARING.len()) * lab.two_seeds().len() * lab.steps(STEPS));
    let (mut findings, noise) = coupling(lab)?;
    let (gaps, found) = generalization(lab)?;
    findings.extend(found);
    let smaller = gaps[SMALL].iter().zip(&gaps[WHOLE]).all(|(small, whole)| small < whole);
    let parts = [SLOPES.contains(&noise.slope.mean), noise.inference < NONE, smaller];
    let [small, middle, whole] = [SMALL, MIDDLE, WHOLE].map(|index| Spread::of(&gaps[index]));
    let because = format!(
        "The noise falls with the batch's size to the power of {:.2}, and in inference outputs change by {:.1e}; the gap \
         between test and training loss is {small} where {} samples share statistics, {middle} where {} do, and {whole} \
         where {} do.",
        noise.slope.mean, noise.inference, SHARING[SMALL], SHARING[MIDDLE], SHARING[WHOLE],
    );
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

/// What batch mates change.
struct Noise {
    slope: Spread,
    /// Of logits in inference, relative to their deviation.
    inference: f64,
}

/// A sample's logits with all choices of mates, in batches of one size.
struct Seen {
    /// Relative to the deviation of all samples' logits.
    noise: f64,
    /// The share of choices with which the network decides otherwise than in inference.
    changed: f64,
    inference: f64,
}

fn coupling(lab: &Lab) -> anyhow::Result<(Vec<Finding>, Noise)> {
    let mut runs = Vec::new();
    for &seed in lab.two_seeds() {
        let schedule = Schedule { batch: BATCH, steps: lab.steps(STEPS), seed, rate: RATE };
        let net = Spec::new(HIDDEN, WIDTH, Nonlinearity::Relu).normalized().init(seed, &lab.device);
        let (net, _) = fit(lab, &lab.digits.train, schedule, net, |net, batch| net.forward(batch.x.clone()))?;
        let sizes = SIZES.iter().map(|&size| mates(lab, &net, seed, size));
        runs.push(sizes.collect::<anyhow::Result<Vec<_>>>()?);
    }
    let of = |value: fn(&Seen) -> f64| {
        let curves: Vec<Vec<f64>> = runs.iter().map(|run| run.iter().map(value).collect()).collect();
        Spread::of_curves(&curves)
    };
    let (noise, changed, inference) =
        (of(|seen| seen.noise), of(|seen| seen.changed), of(|seen| seen.inference));
    let slopes: Vec<f64> = runs.iter().map(|run| slope(run.iter().map(|seen| seen.noise))).collect();
    let most = largest(inference.iter().map(|spread| spread.most));
    let row = |(index, size): (usize, &usize)| {
        let [noise, changed] = [noise[index], changed[index]].map(|spread| spread.percent());
        vec![size.to_string(), noise, changed, format!("{:.1e}", inference[index].most)]
    };
    let sizes = || SIZES.iter().map(|&size| size as f64).collect::<Vec<_>>();
    // Through the middle of the measured ones.
    let middle = SIZES.len() / 2;
    let root =
        |&size: &usize| (size as f64, noise[middle].mean * (SIZES[middle] as f64 / size as f64).sqrt());
    let root: Vec<_> = SIZES.iter().map(root).collect();
    let findings = vec![
        chart::lines(
            "How much batch mates change a sample's logits in training mode",
            ("samples of a batch", Scale::Logarithmic),
            ("noise, relative to the logits' deviation", Scale::Logarithmic),
            &[
                Series { name: "measured", color: 0, x: sizes(), y: noise.clone() },
                Series::of_numbers("1/√size", 7, &root),
            ],
        )?,
        Finding::table(
            "A digit with 16 choices of mates: mean, least and largest of all seeds",
            &[
                "batch",
                "noise of the logits",
                "another decision than in inference",
                "change in inference, at most",
            ],
            SIZES.iter().enumerate().map(row).collect(),
        ),
    ];
    Ok((findings, Noise { slope: Spread::of(&slopes), inference: most }))
}

/// What mates change in batches of a size.
fn mates(lab: &Lab, net: &Net, seed: u64, size: usize) -> anyhow::Result<Seen> {
    let test = &lab.digits.test;
    let plain = lab.device.clone().without_autodiff();
    let still = net.valid();
    // Its own running statistics, which training mode moves on.
    let moving = still.clone().valid().train();
    let all = values(still.forward(Batch::of(test, &plain).x))?;
    let scale = deviation(&all);
    let mut random = fastrand::Rng::with_seed(seed + size as u64);
    let (choices, focus) = if lab.quick { (2, 1) } else { (CHOICES, FOCUS) };
    let (mut squares, mut changed, mut inference) = (0.0, 0, 0.0f64);
    for sample in 0..focus {
        let (mut in_training, mut in_inference) = (Vec::new(), Vec::new());
        for _ in 0..choices {
            let others: Vec<usize> = (0..test.len()).filter(|other| *other != sample).collect();
            let mut numbers = vec![sample];
            numbers.extend(random.choose_multiple(others, size - 1));
            let batch = test.batch(&numbers);
            let first = |logits: Tensor<2>| values(logits.slice([0..1, 0..CLASSES]));
            in_training.push(first(moving.forward(Batch::of(&batch, &lab.device).x))?);
            in_inference.push(first(still.forward(Batch::of(&batch, &plain).x))?);
        }
        let decided = in_inference.first().and_then(|logits| best(logits));
        changed += in_training.iter().filter(|logits| best(logits) != decided).count();
        for class in 0..CLASSES {
            let over =
                |logits: &[Vec<f32>]| deviation(&logits.iter().map(|row| row[class]).collect::<Vec<_>>());
            squares += (over(&in_training) / scale).powi(2);
            inference = largest([inference, over(&in_inference) / scale]);
        }
    }
    Ok(Seen {
        noise: (squares / (focus * CLASSES) as f64).sqrt(),
        changed: changed as f64 / (focus * choices) as f64,
        inference,
    })
}

fn deviation(values: &[f32]) -> f64 {
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>();
    (squares / values.len() as f64).sqrt()
}

fn best(logits: &[f32]) -> Option<usize> {
    logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|best| best.0)
}

/// Of the line that is nearest to the points, in logarithms.
fn slope(noise: impl Iterator<Item = f64>) -> f64 {
    let points: Vec<_> = SIZES.iter().map(|&size| (size as f64).ln()).zip(noise.map(f64::ln)).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    sum(&|point| (point.0 - x) * (point.1 - y)) / sum(&|point| (point.0 - x).powi(2))
}

/// A multilayer perceptron whose batches are divided into groups with statistics of their own.
#[derive(Module, Debug)]
struct Grouped {
    hidden: Vec<Linear>,
    /// Of one channel for each unit of each group; none without batch norm.
    norms: Vec<BatchNorm>,
    /// γ and β, which groups share.
    gamma: Vec<Param<Tensor<1>>>,
    beta: Vec<Param<Tensor<1>>>,
    head: Linear,
    #[module(skip)]
    groups: usize,
}

impl Grouped {
    fn new(groups: usize, seed: u64, device: &Device) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let gain = Nonlinearity::Relu.gain();
        let inputs = [PIXELS].into_iter().chain([WIDTH; HIDDEN - 1]);
        let hidden =
            inputs.map(|inputs| linear(inputs, WIDTH, gain, groups == 0, &mut random, device)).collect();
        let config = BatchNormConfig::new((groups * WIDTH).max(1)).with_affine(false);
        let layers = if groups == 0 { 0 } else { HIDDEN };
        let parameters = |value: f32| {
            (0..layers).map(|_| Param::from_tensor(Tensor::full([WIDTH], value, device))).collect::<Vec<_>>()
        };
        Self {
            hidden,
            norms: (0..layers).map(|_| config.init(device)).collect(),
            gamma: parameters(1.0),
            beta: parameters(0.0),
            head: linear(WIDTH, CLASSES, 1.0, true, &mut random, device),
            groups,
        }
    }

    fn forward(&self, x: Tensor<2>, trains: bool) -> Tensor<2> {
        let mut x = x;
        for (layer, linear) in self.hidden.iter().enumerate() {
            x = linear.forward(x);
            if let Some(norm) = self.norms.get(layer) {
                let normalized = if trains { self.by_groups(norm, x) } else { self.by_population(norm, x) };
                let parameter = |all: &[Param<Tensor<1>>]| all[layer].val().unsqueeze::<2>();
                x = normalized * parameter(&self.gamma) + parameter(&self.beta);
            }
            x = activation::relu(x);
        }
        self.head.forward(x)
    }

    /// Row r is in group r mod groups: as a tensor of a row for each of a group's samples, the groups lie side by side.
    fn by_groups(&self, norm: &BatchNorm, x: Tensor<2>) -> Tensor<2> {
        let [samples, width] = x.dims();
        norm.forward(x.reshape([samples / self.groups, self.groups * width])).reshape([samples, width])
    }

    /// The running statistics of a unit are the means of those of all groups; its variances are unbiased.
    fn by_population(&self, norm: &BatchNorm, x: Tensor<2>) -> Tensor<2> {
        let (Some(mean), Some(variance)) = (&norm.running_mean, &norm.running_var) else { return x };
        let mean_of = |values: Tensor<1>| values.reshape([self.groups, WIDTH]).mean_dim(0);
        (x - mean_of(mean.value())) / mean_of(variance.value()).add_scalar(norm.epsilon).sqrt()
    }
}

/// The gaps of all seeds, for each of [`SHARING`].
fn generalization(lab: &Lab) -> anyhow::Result<(Vec<Vec<f64>>, Vec<Finding>)> {
    let all: Vec<usize> = (0..SAMPLES).collect();
    let few = lab.digits.train.batch(&all);
    let (mut gaps, mut rows, mut points) = (Vec::new(), Vec::new(), Vec::new());
    for sharing in SHARING {
        let name = if sharing == 0 { "without batch norm".to_owned() } else { sharing.to_string() };
        lab.say(format!("{name} samples that share statistics"));
        let runs = lab.two_seeds().iter().map(|&seed| train(lab, &few, sharing, seed));
        let runs = runs.collect::<anyhow::Result<Vec<_>>>()?;
        let spread = |value: fn(&Trained) -> f64| Spread::of(&runs.iter().map(value).collect::<Vec<_>>());
        let gap = spread(Trained::gap);
        rows.push(vec![
            name,
            spread(|run| run.train_loss).to_string(),
            spread(|run| run.test_loss).to_string(),
            gap.to_string(),
            spread(|run| run.train_accuracy).percent(),
            spread(|run| run.test_accuracy).percent(),
        ]);
        if sharing > 0 {
            points.push((sharing as f64, gap));
        }
        gaps.push(runs.iter().map(Trained::gap).collect());
    }
    let series = Series {
        name: "test loss less training loss",
        color: 1,
        x: points.iter().map(|point| point.0).collect(),
        y: points.iter().map(|point| point.1).collect(),
    };
    let findings = vec![
        chart::lines(
            "The gap between test and training by how many samples share statistics",
            ("samples that share statistics", Scale::Logarithmic),
            ("difference of cross entropies", Scale::Linear),
            &[series],
        )?,
        Finding::table(
            "Trained with 256 digits: mean, least and largest of all seeds",
            &[
                "sharing statistics",
                "training loss",
                "test loss",
                "gap",
                "accuracy in training",
                "accuracy on the test set",
            ],
            rows,
        ),
        Finding::text(
            "What regularizes also gets in the way: the fewer samples share statistics, the less of a digit is left in x̂. A \
             small gap is worth something only where the test loss is small as well. The verdict looks at the two ends only: \
             whether the gap grows all the way is in the table.",
        ),
    ];
    Ok((gaps, findings))
}

/// In inference.
struct Trained {
    train_loss: f64,
    test_loss: f64,
    train_accuracy: f64,
    test_accuracy: f64,
}

impl Trained {
    fn gap(&self) -> f64 {
        self.test_loss - self.train_loss
    }
}

fn train(lab: &Lab, few: &Digits, sharing: usize, seed: u64) -> anyhow::Result<Trained> {
    let groups = BATCH.checked_div(sharing).unwrap_or(0);
    let net = Grouped::new(groups, seed, &lab.device);
    let schedule = Schedule { batch: BATCH, steps: lab.steps(STEPS), seed, rate: RATE };
    let (net, _) = fit(lab, few, schedule, net, |net, batch| net.forward(batch.x.clone(), true))?;
    let net = net.valid();
    let plain = lab.device.clone().without_autodiff();
    let measure = |digits: &Digits| {
        let batch = Batch::of(digits, &plain);
        let logits = net.forward(batch.x, false);
        let right = accuracy(logits.clone(), &batch.labels)?;
        Ok::<_, anyhow::Error>((scalar(cross_entropy(logits, batch.target))?, right))
    };
    let ((train_loss, train_accuracy), (test_loss, test_accuracy)) =
        (measure(few)?, measure(&lab.digits.test)?);
    Ok(Trained { train_loss, test_loss, train_accuracy, test_accuracy })
}
