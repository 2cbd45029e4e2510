//! Many devices with few samples each, with synchronized statistics and without.

use crate::chart::{self, Series};
use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::train::Spread;
use anyhow::{Context as _, anyhow};
use std::thread;
use wgpu_batchnorm::{Context, InProcess};
use wgpu_batchnorm_digits::replicas::{Curve, Shuffled, Training, largest_difference, late};
use wgpu_batchnorm_report::chart::Scale;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 12,
    slug: "devices",
    title: "Many devices",
    claim: "Replicas with few samples each train like one device with all samples if their statistics are \
            synchronized, and worse if each normalizes with its own.",
    source: "C. Peng et al., MegDet: A Large Mini-Batch Object Detector, CVPR 2018, section 3.2; H. Zhang et al., Context \
             Encoding for Semantic Segmentation, CVPR 2018.",
    method: "64 pixels → 32 features → batch normalization and ReLU → 10 scores, on batches of 8 digits. Four replicas, \
             each a thread with a device of its own and 2 of the samples, first exchange the records of their statistics, \
             then normalize each alone; one device has all 8. All add up their gradients. The training is that of the \
             example of crates/mpi, where the replicas are the ranks of an MPI job. It counts as held if the losses of \
             synchronized training stay within 0.01 of those of one device, and the loss of the second half is more than \
             1.2 times as high without synchronization, with every seed.",
    run,
};

const REPLICAS: usize = 4;
/// What synchronized losses may differ by: rounding, which training amplifies.
const SAME: f64 = 1e-2;
/// How much higher the loss without synchronization has to be.
const WORSE: f64 = 1.2;
/// Means over so many steps: single batches of 8 vary too much to be read.
const WINDOW: usize = 20;

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    // As many devices as replicas, for all trainings: to open one takes longer than several steps.
    let open = || Context::new_blocking();
    let contexts = (0..REPLICAS).map(|_| open()).collect::<Result<Vec<_>, _>>()?;
    let one = contexts.first().context("no device")?;
    let (mut rows, mut curves) = (Vec::new(), Vec::new());
    let (mut differences, mut times_as_high) = (Vec::new(), Vec::new());
    let steps = lab.steps(300);
    lab.expect(3 * lab.seeds().len());
    for &seed in lab.seeds() {
        let digits = Shuffled::load(seed)?;
        let training = Training { digits: &digits, seed, steps };
        let synchronized = replicas(&contexts, &training, true)?;
        lab.tick();
        let separate = replicas(&contexts, &training, false)?;
        lab.tick();
        let alone = training.run(one, &alone(), &alone())?;
        lab.tick();
        let difference = largest_difference(&synchronized, &alone);
        let times = late(&separate) / late(&alone);
        differences.push(difference);
        times_as_high.push(times);
        rows.push(vec![
            seed.to_string(),
            format!("{:.4}", late(&alone)),
            format!("{:.4}", late(&synchronized)),
            format!("{difference:.1e}"),
            format!("{:.4}", late(&separate)),
            format!("{times:.2}"),
        ]);
        curves.push([alone, synchronized, separate]);
    }
    let verdict = Verdict::of(&[
        differences.iter().all(|difference| *difference < SAME),
        times_as_high.iter().all(|times| *times > WORSE),
    ]);
    let [differences, times_as_high] = [differences, times_as_high].map(|values| Spread::of(&values));
    let (largest, least) = (differences.most, times_as_high.least);
    let because = format!(
        "Synchronized, the losses differ from those of one device by {largest:.1e} at most over {steps} steps; not \
         synchronized, the loss of the second half is at least {least:.2} times as high."
    );
    let head = [
        "seed",
        "loss, one device with 8 samples",
        "loss, 4 replicas synchronized",
        "largest difference of a step",
        "loss, 4 replicas not synchronized",
        "times as high",
    ];
    let findings = vec![
        picture(&curves)?,
        Finding::table("Mean loss of the second half of the training", &head, rows),
        Finding::text(
            "With 2 samples x̂ is near −1 or 1 whatever the samples are: normalization takes away nearly all that \
             tells them apart. The exchange gives every replica the statistics of all 8; one message of a few numbers \
             a channel, forward and backward.",
        ),
    ];
    Ok(Outcome { verdict, because, findings })
}

/// An exchange of one replica with itself.
fn alone() -> InProcess {
    InProcess::group(1).remove(0)
}

/// The losses of a training by replicas, each in a thread: they add up their gradients, and may share statistics too.
fn replicas(contexts: &[Context], training: &Training<'_>, synchronized: bool) -> anyhow::Result<Curve> {
    let ends = InProcess::group(contexts.len());
    thread::scope(|scope| {
        let start = |(context, end): (&'_ Context, InProcess)| {
            let context = context.clone();
            scope.spawn(move || {
                if synchronized {
                    training.run(&context, &end, &end)
                } else {
                    training.run(&context, &alone(), &end)
                }
            })
        };
        let threads: Vec<_> = contexts.iter().zip(ends).map(start).collect();
        let mut curves = threads.into_iter().map(|thread| match thread.join() {
            Ok(curve) => curve,
            Err(_) => Err(anyhow!("a replica's thread ended early")),
        });
        // All have the same losses, since each adds up those of all.
        let first = curves.next().context("no replica")?;
        curves.try_for_each(|curve| curve.map(|_| ()))?;
        first
    })
}

/// Each of the three trainings, means over windows and seeds.
fn picture(curves: &[[Curve; 3]]) -> anyhow::Result<Finding> {
    let mean = |training: usize| {
        let steps = curves.first().map_or(0, |curves| curves[training].len());
        let window = WINDOW.min(steps.max(1));
        let at = move |index: usize| {
            let losses = curves.iter().flat_map(|curves| &curves[training][index * window..][..window]);
            let sum: f64 = losses.sum();
            (((index + 1) * window) as f64, sum / (window * curves.len()) as f64)
        };
        (0..steps / window).map(at).collect::<Vec<_>>()
    };
    let named = [
        ("one device with 8 samples", 0),
        ("4 replicas, synchronized", 2),
        ("4 replicas, not synchronized", 1),
    ];
    let series = named
        .iter()
        .enumerate()
        .map(|(training, &(name, color))| Series::of_numbers(name, color, &mean(training)));
    chart::lines(
        "Cross entropy in training: the curves of one device and of synchronized replicas hide one another",
        ("steps of 8 samples", Scale::Linear),
        ("mean loss of 20 steps, all seeds", Scale::Logarithmic),
        &series.collect::<Vec<_>>(),
    )
}
