//! A network meets images that are not like those it was trained with, and takes their statistics.

use crate::chart::{self, Series};
use crate::data::Batch;
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Net, Nonlinearity, Spec, normal};
use crate::train::{Schedule, Spread, accuracy, fit};
use burn::module::Module as _;
use wgpu_batchnorm_digits::Digits;
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 10,
    slug: "domain-shift",
    title: "Covariate shift between training and test data",
    claim: "Where test images differ from those of training in contrast, brightness or noise, re-estimating the statistics \
            of batch normalization on unlabelled images of the new domain gives much of the lost accuracy back.",
    source: "Y. Li et al., Revisiting Batch Normalization for Practical Domain Adaptation (AdaBN), 2016; S. Schneider et \
             al., Improving Robustness Against Common Corruptions by Covariate Shift Adaptation, NeurIPS 2020.",
    method: "A network with 2 hidden layers of 64 units and batch normalization is trained for 80 steps of 64 digits, 2 \
             seeds. Then the pixels, from −1 to 1, are changed and clipped to that range. New statistics are those of the \
             1,500 training images, changed in the same way; weights, γ and β stay, and no label is looked at. A shift \
             counts as undone if it had cost 5 points of accuracy or more, and at least half of what it cost comes back, in \
             the mean of all seeds; one part of the claim for each of the four shifts.",
    run,
};

const STEPS: usize = 80;
const RATE: f64 = 0.1;
/// What a shift has to cost, so that there is something to be undone.
const COST: f64 = 0.05;
const BACK: f64 = 0.5;
/// How many images of the new domain statistics are taken from.
const SIZES: [usize; 3] = [8, 64, 1500];

/// A change of images.
#[derive(Clone, Copy)]
struct Shift {
    name: &'static str,
    /// What becomes of a pixel, with a normally distributed number.
    of: fn(f32, f32) -> f32,
}

const SHIFTS: [Shift; 4] = [
    Shift { name: "inverted: −x", of: |x, _| -x },
    Shift { name: "brighter: x + 0.8", of: |x, _| x + 0.8 },
    Shift { name: "faded: 0.3·x", of: |x, _| 0.3 * x },
    Shift { name: "noisy: x + normal, σ = 0.6", of: |x, noise| x + 0.6 * noise },
];

impl Shift {
    fn apply(self, digits: &Digits, seed: u64) -> Digits {
        let noise = normal(digits.pixels.len(), 1.0, &mut fastrand::Rng::with_seed(seed));
        let pixels = digits.pixels.iter().zip(noise).map(|(x, noise)| (self.of)(*x, noise).clamp(-1.0, 1.0));
        Digits { pixels: pixels.collect(), labels: digits.labels.clone() }
    }
}

/// Accuracies of one seed's networks.
struct Run {
    /// On images like those of training, with batch norm and without.
    source: [f64; 2],
    shifted: Vec<Shifted>,
}

/// On changed images.
struct Shifted {
    /// With batch norm and without.
    before: [f64; 2],
    /// With statistics from so many images of theirs, for each of [`SIZES`].
    after: Vec<f64>,
}

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    lab.expect(2 * lab.two_seeds().len() * lab.steps(STEPS));
    let runs = lab.two_seeds().iter().map(|&seed| train(lab, seed)).collect::<anyhow::Result<Vec<_>>>()?;
    let spread = |value: &dyn Fn(&Run) -> f64| Spread::of(&runs.iter().map(value).collect::<Vec<_>>());
    let source = [0, 1].map(|net| spread(&|run| run.source[net]));
    let mut rows = vec![vec![
        "as in training".to_owned(),
        source[1].percent(),
        source[0].percent(),
        "–".to_owned(),
        "–".to_owned(),
    ]];
    let (mut parts, mut undone, mut groups, mut curves) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, shift) in SHIFTS.iter().enumerate() {
        let [before, without] = [0, 1].map(|net| spread(&|run| run.shifted[index].before[net]));
        let after = |size: usize| spread(&|run| run.shifted[index].after[size]);
        let last = after(SIZES.len() - 1);
        let cost = source[0].mean - before.mean;
        let back = if cost > 0.0 { (last.mean - before.mean) / cost } else { 0.0 };
        let held = cost >= COST && back >= BACK;
        parts.push(held);
        if held {
            undone.push(shift.name);
        }
        rows.push(vec![
            shift.name.to_owned(),
            without.percent(),
            before.percent(),
            last.percent(),
            if cost >= COST { format!("{:.0} %", 100.0 * back) } else { "–".to_owned() },
        ]);
        let bars = [before, last].map(|spread| (spread.mean, spread.percent()));
        groups.push((shift.name.to_owned(), bars.to_vec()));
        curves.push(Series {
            name: shift.name,
            color: index,
            x: SIZES.iter().map(|&size| size as f64).collect(),
            y: (0..SIZES.len()).map(after).collect(),
        });
    }
    let because = format!(
        "Re-estimated statistics undo {} of {} shifts ({}).",
        undone.len(),
        SHIFTS.len(),
        if undone.is_empty() { "none".to_owned() } else { undone.join("; ") }
    );
    let findings = vec![
        chart::bars(
            "Accuracy on changed test images",
            "accuracy",
            &["statistics of training", "statistics re-estimated"],
            &groups,
        )?,
        Finding::table(
            "Accuracy on the test set: mean, least and largest of all seeds",
            &["images", "without batch norm", "statistics of training", "re-estimated", "of the loss, back"],
            rows,
        ),
        chart::lines(
            "How many images of the new domain it takes",
            ("images without labels", Scale::Logarithmic),
            ("accuracy", Scale::Linear),
            &curves,
        )?,
        Finding::text(
            "Statistics can undo what shifts and scales each unit's entries: brightness and contrast. An inverted image \
             turns the sign of them; mean and variance know no sign, so that x̂ becomes −x̂, and what the layer learnt no \
             longer fits. Noise adds variance that is not the digit's: normalization brings the scale back, not the \
             digit.",
        ),
    ];
    Ok(Outcome { verdict: Verdict::of(&parts), because, findings })
}

fn train(lab: &Lab, seed: u64) -> anyhow::Result<Run> {
    let plain = Spec::new(2, 64, Nonlinearity::Relu);
    let device = lab.device.clone().without_autodiff();
    let digits = &lab.digits;
    let right = |net: &Net, digits: &Digits| {
        let batch = Batch::of(digits, &device);
        accuracy(net.forward(batch.x), &batch.labels)
    };
    let nets = [plain.clone().normalized(), plain].map(|spec| {
        let schedule = Schedule { batch: 64, steps: lab.steps(STEPS), seed, rate: RATE };
        let net = spec.init(seed, &lab.device);
        let trained = fit(lab, &digits.train, schedule, net, |net, batch| net.forward(batch.x.clone()));
        Ok::<_, anyhow::Error>(trained?.0.valid())
    });
    let [normalized, plain] = nets;
    let nets = [normalized?, plain?];
    let both = |digits: &Digits| Ok::<_, anyhow::Error>([right(&nets[0], digits)?, right(&nets[1], digits)?]);
    let shifted = |shift: &Shift| {
        let (train, test) = (shift.apply(&digits.train, seed), shift.apply(&digits.test, seed + 1000));
        let after = SIZES.iter().map(|&size| right(&adapted(lab, &nets[0], &train, size), &test));
        Ok(Shifted { before: both(&test)?, after: after.collect::<anyhow::Result<Vec<_>>>()? })
    };
    let shifted = SHIFTS.iter().map(shifted).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Run { source: both(&digits.test)?, shifted })
}

/// The network with the statistics of these images: all at once, as a batch that replaces the running ones.
fn adapted(lab: &Lab, net: &Net, digits: &Digits, size: usize) -> Net {
    // Its own running statistics; a clone would share them.
    let mut net = net.valid().train();
    net.norms.iter_mut().for_each(|norm| norm.momentum = 1.0);
    net.forward(Batch::first(digits, size, &lab.device).x);
    net.valid()
}
