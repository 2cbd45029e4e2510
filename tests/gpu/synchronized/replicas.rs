//! A batch split among replicas, each in a thread, and their results joined again.

use super::LIMIT;
use crate::subject::{Buffers, Results, Setup, bits, shape};
use libtest_mimic::Failed;
use std::ops::Range;
use wgpu_batchnorm::{
    Accumulation, Context, Exchange, GradientsWithoutSamples, InProcess, Layout, SyncError, Synchronized,
    WithoutSamples,
};

/// The samples of one replica; nothing if it has none.
fn part(setup: &Setup, samples: Range<usize>) -> Option<Setup> {
    let whole = setup.shape;
    let sample = whole.channels() * whole.spatial();
    let elements = samples.start * sample..samples.end * sample;
    let positions = samples.start * whole.spatial()..samples.end * whole.spatial();
    let sizes = [samples.len(), whole.channels(), whole.spatial()];
    (!samples.is_empty()).then(|| Setup {
        shape: shape(&sizes, whole.layout()),
        x: setup.x[elements.clone()].to_vec(),
        dy: setup.dy[elements.clone()].to_vec(),
        residual: setup.residual.as_ref().map(|residual| residual[elements].to_vec()),
        mask: setup.mask.as_ref().map(|mask| mask[positions].to_vec()),
        ..setup.clone()
    })
}

/// One replica, forward and backward.
fn replica(
    context: &Context,
    setup: &Setup,
    samples: Range<usize>,
    end: InProcess,
) -> Result<Results, Failed> {
    let part = part(setup, samples);
    // One without samples has what belongs to channels only.
    let vectors = Setup {
        residual: None,
        mask: None,
        ..Setup::new(shape(&[1, setup.shape.channels()], Layout::ChannelsLast), 0.0, 1.0)
    };
    let vectors = Setup {
        options: setup.options,
        weight: setup.weight.clone(),
        bias: setup.bias.clone(),
        running: setup.running.clone(),
        ..vectors
    };
    let buffers = Buffers::new(context, part.as_ref().unwrap_or(&vectors))?;
    let synchronized = Synchronized::new(&buffers.batch_norm, end.with_limit(LIMIT));
    if let Some(part) = &part {
        pollster::block_on(synchronized.submit_forward(&part.shape, &buffers.forward()))?;
        pollster::block_on(synchronized.submit_backward(&part.shape, &buffers.backward()))?;
        return buffers.results(context);
    }
    let forward = buffers.forward();
    let parameters = [forward.weight, forward.bias];
    let tensors = WithoutSamples { parameters, running: forward.running, saved: &buffers.saved };
    pollster::block_on(synchronized.submit_forward_without_samples(&tensors))?;
    let gradient = |vector: &wgpu_batchnorm::Vector| Some((vector.range().clone(), Accumulation::Replace));
    let (dweight, dbias) = (gradient(&buffers.dweight), gradient(&buffers.dbias));
    let tensors = GradientsWithoutSamples { saved: &buffers.saved, dweight, dbias };
    pollster::block_on(synchronized.submit_backward_without_samples(&tensors))?;
    let mut results = buffers.results(context)?;
    (results.y, results.dx) = (Vec::new(), Vec::new());
    results.dresidual = setup.residual.as_ref().map(|_| Vec::new());
    Ok(results)
}

/// Fails unless everything per channel has the same bits.
fn same_per_channel(a: &Results, b: &Results) -> Result<(), String> {
    let running = |results: &Results| {
        results.running.as_ref().map(|running| {
            (
                bits(&running.mean),
                bits(&running.var),
                running.num_batches_tracked,
                running.num_batches_skipped,
            )
        })
    };
    for (what, same) in [
        ("dweight", bits(&a.dweight) == bits(&b.dweight)),
        ("dbias", bits(&a.dbias) == bits(&b.dbias)),
        ("the saved statistics", a.groups == b.groups),
        ("1/σ", bits(&a.inv_std) == bits(&b.inv_std)),
        ("the running statistics", running(a) == running(b)),
    ] {
        if !same {
            return Err(format!("{what} of the replicas differ"));
        }
    }
    Ok(())
}

/// Runs replicas of so many samples each, and compares them with one another and with the reference on the whole
/// batch.
pub(super) fn run(devices: &[Context], setup: &Setup, parts: &[usize]) -> Result<(), Failed> {
    let described = |error: String| {
        Failed::from(format!("{} {:?} in parts of {parts:?}: {error}", setup.shape, setup.options))
    };
    let (setup, _) = setup.clone().rounded().without_kinks().map_err(described)?;
    let setup = &setup;
    let mut first = 0;
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = InProcess::group(parts.len())
            .into_iter()
            .zip(parts)
            .zip(devices.iter().cycle())
            .map(|((end, &samples), context)| {
                first += samples;
                let samples = first - samples..first;
                scope.spawn(move || replica(context, setup, samples, end))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut joined: Option<Results> = None;
    for (rank, result) in results.into_iter().enumerate() {
        let failed =
            |error: Failed| described(format!("replica {rank}: {}", error.message().unwrap_or_default()));
        let result = result.map_err(|_| described(format!("replica {rank} panicked")))?.map_err(failed)?;
        let Some(joined) = &mut joined else {
            joined = Some(result);
            continue;
        };
        same_per_channel(joined, &result).map_err(described)?;
        joined.y.extend(result.y);
        joined.dx.extend(result.dx);
        if let (Some(all), Some(more)) = (&mut joined.dresidual, result.dresidual) {
            all.extend(more);
        }
    }
    setup.compare(&joined.ok_or("there are no replicas")?).map_err(described)
}

/// A forward pass of one replica, which must touch nothing if it fails.
pub(super) fn try_forward(
    context: &Context,
    setup: &Setup,
    exchange: impl Exchange,
) -> Result<Result<(), SyncError>, Failed> {
    let buffers = Buffers::new(context, setup)?;
    let synchronized = Synchronized::new(&buffers.batch_norm, exchange);
    let result = pollster::block_on(synchronized.submit_forward(&setup.shape, &buffers.forward()));
    if result.is_err() {
        buffers.expect_untouched(context)?;
    }
    Ok(result)
}

/// The two ends of an exchange.
pub(super) fn ends() -> [InProcess; 2] {
    let mut ends = InProcess::group(2).into_iter().map(|end| end.with_limit(LIMIT));
    [ends.next(), ends.next()].map(|end| end.expect("two ends"))
}

/// A forward pass without samples of a layer with 5 channels, which leaves its running statistics alone if it
/// fails.
pub(super) fn try_without_samples(
    context: &Context,
    end: impl Exchange,
) -> Result<Result<(), SyncError>, Failed> {
    let setup = Setup::new(shape(&[1, 5], Layout::ChannelsFirst), 0.5, 1.5);
    let buffers = Buffers::new(context, &setup)?;
    let tensors = WithoutSamples {
        parameters: [&buffers.weight, &buffers.bias].map(|vector| Some(vector.range().clone())),
        running: Some(&buffers.running),
        saved: &buffers.saved,
    };
    let result = pollster::block_on(
        Synchronized::new(&buffers.batch_norm, end).submit_forward_without_samples(&tensors),
    );
    if result.is_err() {
        buffers.expect_untouched(context)?;
    }
    Ok(result)
}
