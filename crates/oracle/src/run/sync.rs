//! Kind `sync`: replicas that are tasks, each with a context of its own on the one device; or one replica of any transport.

use super::{
    AnyError, Maker, RunError, insert_batch, insert_running, insert_tensors, layout, options, range,
};
use crate::{Case, Kind, Outputs, judge};
use futures_util::future::join_all;
use std::ops::Range;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, Context, Exchange, ExchangeError, ForwardTensors,
    GradientsWithoutSamples, InTasks, SavedStatistics, Shape, SyncError, Synchronized, Tensor,
    WithoutSamples,
};

/// All replicas of the case, as many as it names, joined: each has the outputs of all.
pub(super) async fn run(context: &Context, case: &Case, samples: &[usize]) -> Result<Outputs, AnyError> {
    let ends = InTasks::group(samples.len()).into_iter();
    let tasks = ends
        .enumerate()
        .map(|(rank, end)| async move { of_all(&of_rank(context, rank), case, &end, samples).await });
    let outputs = all_or_cause(join_all(tasks).await)?;
    Ok(outputs.into_iter().next().ok_or("there are no replicas")?)
}

/// Verifies a case of kind `sync` as one of the replicas of a transport, whose `end` this is: all of them must call this.
/// The batch is given to them evenly, all of it to the last one, and as the case says if it has as many replicas.
///
/// # Errors
/// [`RunError::Inapplicable`] if the case is of another kind, [`RunError::Failed`] if a pass fails, the replicas have
/// different bits, or the results are not those of the case.
pub async fn verify_replica(context: &Context, case: &Case, end: &impl Exchange) -> Result<(), RunError> {
    let Kind::Sync { replicas: own } = &case.kind else {
        return Err(RunError::Inapplicable(format!("the case is of kind `{}`, expected `sync`", case.kind)));
    };
    let (all, replicas) = (own.iter().sum::<usize>(), end.replicas());
    let even = |rank: usize| all / replicas + usize::from(rank < all % replicas);
    let last = |rank: usize| if rank + 1 == replicas { all } else { 0 };
    let splits = [(0..replicas).map(even).collect(), (0..replicas).map(last).collect(), own.clone()];
    for samples in splits.into_iter().filter(|samples: &Vec<usize>| samples.len() == replicas) {
        let outputs = of_all(context, case, end, &samples).await.map_err(RunError::Failed)?;
        let verdict = judge(case, &outputs);
        if !verdict.passed() {
            return Err(RunError::Failed(format!("{samples:?} samples: {verdict}").into()));
        }
    }
    Ok(())
}

/// One replica's part, and then the outputs of all: tensors of x's size are joined along N; everything per channel must
/// have the same bits on each replica.
async fn of_all(
    context: &Context,
    case: &Case,
    end: &impl Exchange,
    samples: &[usize],
) -> Result<Outputs, AnyError> {
    let first: usize = samples.iter().take(end.rank()).sum();
    let own = samples.get(end.rank()).copied().unwrap_or(0);
    let mut outputs = replica(context, case, end, &(first..first + own)).await?;
    for (name, output) in &mut outputs.tensors {
        let own: Vec<u8> = output.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let all = end.start(own)?.gathered().await?;
        output.values = joined(name, &all)?;
        if is_of_samples(name) {
            output.shape = case.output_shape(name);
        }
    }
    Ok(outputs)
}

/// Whether the tensor is of x's size, of which each replica has its samples.
fn is_of_samples(name: &str) -> bool {
    matches!(name, "y" | "dx" | "dresidual")
}

/// The values of all replicas, as bytes by rank, one after another; of what is per channel those that all of them have.
fn joined(name: &str, all: &[Vec<u8>]) -> Result<Vec<f32>, AnyError> {
    let values = |bytes: &[Vec<u8>]| -> Vec<f32> {
        bytes
            .iter()
            .flat_map(|bytes| bytes.as_chunks::<4>().0)
            .map(|word| f32::from_le_bytes(*word))
            .collect()
    };
    if is_of_samples(name) {
        return Ok(values(all));
    }
    let (first, others) = all.split_first().ok_or("there are no replicas")?;
    match others.iter().position(|other| other != first) {
        Some(index) => Err(format!("{name} of replica {} differs from that of replica 0", index + 1).into()),
        None => Ok(values(std::slice::from_ref(first))),
    }
}

/// The context for the first replica; for the others one that shares nothing with it but the device and the schedule.
/// A device of their own might be another adapter's in a browser, which promises nothing of the next one.
fn of_rank(context: &Context, rank: usize) -> Context {
    match rank {
        0 => context.clone(),
        _ => Context::from_device(context.device(), context.queue()).with_schedule(*context.schedule()),
    }
}

/// The outputs of all replicas, or the error of the one that is to blame: who fails leaves, which is all that the
/// others' errors say.
fn all_or_cause<T>(results: Vec<Result<T, AnyError>>) -> Result<Vec<T>, AnyError> {
    let mut all = Vec::new();
    let mut cause: Option<(bool, usize, AnyError)> = None;
    for (rank, result) in results.into_iter().enumerate() {
        match result {
            Ok(outputs) => all.push(outputs),
            Err(error) => {
                let left = matches!(error.downcast_ref(), Some(ExchangeError::Left { .. }))
                    || matches!(error.downcast_ref(), Some(SyncError::Exchange(ExchangeError::Left { .. })));
                if cause.as_ref().is_none_or(|(other_left, ..)| *other_left && !left) {
                    cause = Some((left, rank, error));
                }
            }
        }
    }
    match cause {
        Some((_, rank, error)) => Err(format!("replica {rank}: {error}").into()),
        None => Ok(all),
    }
}

/// One replica's part of the batch, forward and backward.
async fn replica(
    context: &Context,
    case: &Case,
    end: &impl Exchange,
    samples: &Range<usize>,
) -> Result<Outputs, AnyError> {
    let mut sizes = case.output_shape("y");
    let channels = Shape::new(&sizes, layout(case))?.channels();
    let sample_elements: usize = sizes.iter().skip(1).product();
    if let Some(first) = sizes.first_mut() {
        *first = samples.len();
    }
    // For what has C values only, if there are no samples.
    let shape = match samples.is_empty() {
        true => Shape::new(&[1, channels], layout(case))?,
        false => Shape::new(&sizes, layout(case))?,
    };
    let options = options(case, channels)?;
    let batch_norm = BatchNorm::new(context, options)?;
    let synchronized = Synchronized::new(&batch_norm, end);
    let make = Maker::new(context, shape, options.dtype);
    let (weight, bias) = (make.input(case, "weight")?, make.input(case, "bias")?);
    let (weight, bias) = (weight.as_ref().map(range), bias.as_ref().map(range));
    let running = make.running(case)?;
    let saved = make.saved(SavedStatistics::new(context, channels)?);
    let gradient = |wanted: bool| wanted.then(|| make.vector_zeros()).transpose();
    let (dweight, dbias) = (gradient(options.weight)?, gradient(options.bias)?);
    let replaced = |tensor: &Tensor| (range(tensor), Accumulation::Replace);
    let (dweight_range, dbias_range) = (dweight.as_ref().map(replaced), dbias.as_ref().map(replaced));

    let mut outputs = Outputs::default();
    if samples.is_empty() {
        let tensors = WithoutSamples { parameters: [weight, bias], running: running.as_ref(), saved: &saved };
        synchronized.submit_forward_without_samples(&tensors).await?;
        let tensors = GradientsWithoutSamples { saved: &saved, dweight: dweight_range, dbias: dbias_range };
        synchronized.submit_backward_without_samples(&tensors).await?;
        for name in ["y", "dx"].into_iter().chain(case.input("residual").map(|_| "dresidual")) {
            outputs.insert(name, sizes.clone(), Vec::new());
        }
    } else {
        let elements = samples.start * sample_elements..samples.end * sample_elements;
        let full = |name| case.values(name).map(|values| make.full(&values[elements.clone()])).transpose();
        let (x, dy, residual) = (full("x")?, full("dy")?, full("residual")?);
        let (x, dy) = (x.ok_or("x is missing")?, dy.ok_or("dy is missing")?);
        let (y, dx) = (make.full_zeros()?, make.full_zeros()?);
        let dresidual = residual.as_ref().map(|_| make.full_zeros()).transpose()?;
        let forward = ForwardTensors {
            weight,
            bias,
            running: running.as_ref(),
            residual: residual.as_ref().map(range),
            ..ForwardTensors::new(range(&x), range(&y), &saved)
        };
        synchronized.submit_forward(&shape, &forward).await?;
        let backward = BackwardTensors {
            residual: residual.as_ref().map(range),
            dx: Some(range(&dx)),
            dresidual: dresidual.as_ref().map(range),
            dweight: dweight_range,
            dbias: dbias_range,
            ..BackwardTensors::new(range(&x), range(&dy), &saved)
        };
        synchronized.submit_backward(&shape, &backward).await?;
        let tensors = [("y", Some(y)), ("dx", Some(dx)), ("dresidual", dresidual)];
        insert_tensors(&mut outputs, &sizes, tensors).await?;
    }
    insert_tensors(&mut outputs, &[channels], [("dweight", dweight), ("dbias", dbias)]).await?;
    insert_batch(&mut outputs, context, &saved).await?;
    insert_running(&mut outputs, context, case, running).await?;
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_is_named() {
        let left = |rank| Err(SyncError::Exchange(ExchangeError::Left { rank }).into());
        let failed = || Err("out of memory".into());
        let said =
            |results: Vec<Result<(), AnyError>>| all_or_cause(results).map_err(|error| error.to_string());
        let expected = Err("replica 2: out of memory".to_owned());
        assert_eq!(said(vec![left(2), Ok(()), failed(), left(2)]), expected.clone().map(|()| vec![]));
        assert_eq!(said(vec![left(2), left(2), failed(), failed()]), expected.map(|()| vec![]));
        assert!(
            said(vec![Ok(()), left(0)])
                .is_err_and(|error| error.starts_with("replica 1: replica 0 has left"))
        );
        assert_eq!(said(vec![Ok(()), Ok(())]), Ok(vec![(), ()]));
    }

    #[test]
    fn a_replica_that_differs_is_named() {
        let of = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let joined = |name, all: &[&[f32]]| {
            let all: Vec<_> = all.iter().map(|values| of(values)).collect();
            joined(name, &all).map_err(|error| error.to_string())
        };
        assert_eq!(joined("y", &[&[1.0, 2.0], &[], &[3.0]]), Ok(vec![1.0, 2.0, 3.0]));
        assert_eq!(joined("batch_mean", &[&[1.0], &[1.0]]), Ok(vec![1.0]));
        let expected = Err("batch_mean of replica 2 differs from that of replica 0".to_owned());
        assert_eq!(joined("batch_mean", &[&[1.0], &[1.0], &[1.5], &[1.0]]), expected);
    }
}
