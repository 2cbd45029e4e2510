//! Kind `sync`: replicas that are tasks, each with a context of its own on the one device.

use super::{AnyError, Maker, insert_batch, insert_running, insert_tensors, layout, options, range};
use crate::{Case, Outputs};
use futures_util::future::join_all;
use std::ops::Range;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, Context, ExchangeError, ForwardTensors,
    GradientsWithoutSamples, InTasks, SavedStatistics, Shape, SyncError, Synchronized, Tensor,
    WithoutSamples,
};

/// Tensors of x's size are joined along N; everything per channel must have the same bits on each replica.
pub(super) async fn run(context: &Context, case: &Case, replicas: &[usize]) -> Result<Outputs, AnyError> {
    let mut first = 0;
    let parts: Vec<Range<usize>> = replicas
        .iter()
        .map(|&samples| {
            first += samples;
            first - samples..first
        })
        .collect();
    let ends = InTasks::group(replicas.len()).into_iter();
    let tasks = ends
        .zip(&parts)
        .enumerate()
        .map(|(rank, (end, part))| async move { replica(&of_rank(context, rank), case, end, part).await });
    let outputs = all_or_cause(join_all(tasks).await)?;
    let mut outputs = outputs.into_iter().enumerate();
    let (_, mut joined) = outputs.next().ok_or("there are no replicas")?;
    for (rank, outputs) in outputs {
        joined = join(joined, rank, outputs)?;
    }
    for name in ["y", "dx", "dresidual"] {
        if let Some(output) = joined.tensors.get_mut(name) {
            output.shape = case.output_shape(name);
        }
    }
    Ok(joined)
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
                let left =
                    matches!(error.downcast_ref(), Some(SyncError::Exchange(ExchangeError::Left { .. })));
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

/// Adds the outputs of the replica of this rank.
fn join(mut joined: Outputs, rank: usize, other: Outputs) -> Result<Outputs, AnyError> {
    for (name, output) in other.tensors {
        let Some(all) = joined.tensors.get_mut(&name) else {
            return Err(format!("replica {rank} has {name}, and replica 0 has none").into());
        };
        if matches!(name.as_str(), "y" | "dx" | "dresidual") {
            all.values.extend(output.values);
        } else if all.values.iter().zip(&output.values).any(|(a, b)| a.to_bits() != b.to_bits()) {
            return Err(format!("{name} of replica {rank} differs from that of replica 0").into());
        }
    }
    Ok(joined)
}

/// One replica's part of the batch, forward and backward.
async fn replica(
    context: &Context,
    case: &Case,
    end: InTasks,
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
        let of = |mean: f32| {
            let mut outputs = Outputs::default();
            outputs.insert("batch_mean", vec![1], vec![mean]);
            outputs
        };
        assert!(join(of(1.0), 1, of(1.0)).is_ok());
        let error = join(of(1.0), 2, of(1.5)).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error == "batch_mean of replica 2 differs from that of replica 0"));
    }
}
