//! The oracle cases of kind `sync`, given to as many replicas as there are.

use crate::replica::{bytes, floats};
use crate::{Failure, LIMIT, PassTest, Transport, ensure};
use std::path::Path;
use wgpu_batchnorm::{
    Accumulation, Activation, BackwardTensors, BatchNorm, BufferRange, Context, Exchange, ForwardTensors,
    GradientsWithoutSamples, Layout, Momentum, Options, RunningStatistics, RunningValues, SavedStatistics,
    Shape, Synchronized, Tensor, Vector, WithoutSamples,
};
use wgpu_batchnorm_oracle::{self as oracle, Case, Kind, Outputs, find_cases, judge};

/// In the workspace.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases");
/// How many cases there are of this kind.
const COUNT: usize = 3;

pub(crate) fn tests<T: Transport>() -> Vec<PassTest<T>> {
    vec![("oracle_cases_pass", oracle_cases_pass)]
}

fn oracle_cases_pass<T: Transport>(transport: &mut T, context: &Context) -> Result<(), Failure> {
    let mut run = 0;
    for path in find_cases([Path::new(CASES)])? {
        let case = Case::load(&path)?;
        let Kind::Sync { replicas } = &case.kind else { continue };
        let end = transport.connect(LIMIT)?;
        let whole: usize = replicas.iter().sum();
        for parts in splits(whole, replicas, end.replicas()) {
            let outputs = of_all(&end, context, &case, &parts)?;
            let verdict = judge(&case, &outputs);
            ensure(verdict.passed() && verdict.tensors.len() >= 4, || {
                format!("samples {parts:?}: {verdict}")
            })?;
        }
        run += 1;
    }
    ensure(run == COUNT, || format!("{run} cases of kind sync in {CASES}, expected {COUNT}"))
}

/// Ways of giving so many samples to so many replicas: the case's own if it fits, evenly, and all to the last.
fn splits(samples: usize, own: &[usize], replicas: usize) -> Vec<Vec<usize>> {
    let even = |rank: usize| samples / replicas + usize::from(rank < samples % replicas);
    let last = |rank: usize| if rank + 1 == replicas { samples } else { 0 };
    let mut splits: Vec<Vec<usize>> =
        vec![(0..replicas).map(even).collect(), (0..replicas).map(last).collect()];
    if own.len() == replicas {
        splits.push(own.to_vec());
    }
    splits
}

/// The options of a case; those of kind sync are in float32, after the normalization.
fn options(case: &Case, channels: usize) -> Result<Options, Failure> {
    let momentum = match case.momentum {
        oracle::Momentum::Average(momentum) => Momentum::MovingAverage(momentum),
        oracle::Momentum::Cumulative => Momentum::Cumulative,
    };
    let activation = match (&case.activation, case.order, &case.dtype) {
        (oracle::Activation::None, _, oracle::Dtype::F32) => Activation::None,
        (oracle::Activation::Relu, oracle::Order::Post, oracle::Dtype::F32) => Activation::Relu,
        other => return Err(format!("{} has {other:?}, which this test does not know", case.name).into()),
    };
    Ok(Options {
        eps: case.epsilon,
        momentum,
        weight: case.input("weight").is_some(),
        bias: case.input("bias").is_some(),
        running_statistics: case.input("running_mean").is_some(),
        activation,
        ..Options::new(channels)
    })
}

fn range(tensor: &Tensor) -> BufferRange {
    tensor.range().clone()
}

/// Forward and backward on this replica's samples, and the outputs of all.
fn of_all(end: &impl Exchange, context: &Context, case: &Case, parts: &[usize]) -> Result<Outputs, Failure> {
    let layout = match case.layout {
        oracle::Layout::ChannelsFirst => Layout::ChannelsFirst,
        oracle::Layout::ChannelsLast => Layout::ChannelsLast,
    };
    let whole = case.output_shape("y");
    let channels = Shape::new(&whole, layout)?.channels();
    let options = options(case, channels)?;
    let layer = Synchronized::new(&BatchNorm::new(context, options)?, end);
    let vector = |name: &str| case.values(name).map(|values| Vector::upload(context, values)).transpose();
    let of = |vector: &Option<Vector>| vector.as_ref().map(|vector| vector.range().clone());
    let (weight, bias) = (vector("weight")?, vector("bias")?);
    let zeros = |wanted: bool| wanted.then(|| Vector::upload(context, &vec![0.0; channels])).transpose();
    let (dweight, dbias) = (zeros(options.weight)?, zeros(options.bias)?);
    let into = |vector: &Option<Vector>| of(vector).map(|range| (range, Accumulation::Replace));
    let running = match (case.values("running_mean"), case.values("running_var")) {
        (Some(mean), Some(var)) => {
            let tracked = u32::try_from(case.num_batches_tracked)?;
            let values = RunningValues::new(mean.to_vec(), var.to_vec(), tracked);
            Some(RunningStatistics::upload(context, &values)?)
        }
        _ => None,
    };
    let saved = SavedStatistics::new(context, channels)?;

    let first: usize = parts.iter().take(end.rank()).sum();
    let samples = parts[end.rank()];
    let (y, dx) = if samples == 0 {
        let parameters = [of(&weight), of(&bias)];
        let tensors = WithoutSamples { parameters, running: running.as_ref(), saved: &saved };
        pollster::block_on(layer.submit_forward_without_samples(&tensors))?;
        let tensors = GradientsWithoutSamples { saved: &saved, dweight: into(&dweight), dbias: into(&dbias) };
        pollster::block_on(layer.submit_backward_without_samples(&tensors))?;
        Default::default()
    } else {
        let mut sizes = whole.clone();
        let sample: usize = sizes.iter().skip(1).product();
        if let Some(size) = sizes.first_mut() {
            *size = samples;
        }
        let shape = Shape::new(&sizes, layout)?;
        let part = |name: &str| {
            let values = case.values(name).ok_or_else(|| format!("{} has no {name}", case.name))?;
            let part = &values[first * sample..(first + samples) * sample];
            Ok::<_, Failure>(Tensor::upload(context, shape, part)?)
        };
        let (x, dy) = (part("x")?, part("dy")?);
        let (y, dx) = (Tensor::zeros(context, shape)?, Tensor::zeros(context, shape)?);
        let forward = ForwardTensors {
            weight: of(&weight),
            bias: of(&bias),
            running: running.as_ref(),
            ..ForwardTensors::new(range(&x), range(&y), &saved)
        };
        pollster::block_on(layer.submit_forward(&shape, &forward))?;
        let backward = BackwardTensors {
            dx: Some(range(&dx)),
            dweight: into(&dweight),
            dbias: into(&dbias),
            ..BackwardTensors::new(range(&x), range(&dy), &saved)
        };
        pollster::block_on(layer.submit_backward(&shape, &backward))?;
        (y.download_blocking()?, dx.download_blocking()?)
    };

    let mut outputs = Outputs::default();
    for (name, values) in [("y", y), ("dx", dx)] {
        let joined = end.all_gather(&bytes(&values))?.concat();
        outputs.insert(name, whole.clone(), floats(&joined));
    }
    let batch = saved.download_blocking(context)?;
    let mut vectors = vec![("batch_mean", batch.mean), ("batch_var", batch.var)];
    for (name, vector) in [("dweight", &dweight), ("dbias", &dbias)] {
        if let Some(vector) = vector {
            vectors.push((name, vector.download_blocking()?));
        }
    }
    outputs.num_batches_tracked = Some(case.num_batches_tracked);
    if let Some(running) = &running {
        let running = running.download_blocking(context)?;
        outputs.num_batches_tracked = Some(running.num_batches_tracked.into());
        vectors.extend([("running_mean", running.mean), ("running_var", running.var)]);
    }
    for (name, values) in vectors {
        let all = end.all_gather(&bytes(&values))?;
        ensure(all.iter().all(|other| *other == bytes(&values)), || {
            format!("{}: {name} differs between replicas", case.name)
        })?;
        outputs.insert(name, vec![channels], values);
    }
    Ok(outputs)
}
