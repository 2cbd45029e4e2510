//! Kind `sync`: replicas on devices of their own, each a task.

use super::{
    AnyError, Maker, insert_batch, insert_running, insert_tensors, layout, options, range, running_values,
};
use crate::{Case, Outputs};
use futures_util::future::join_all;
use std::ops::Range;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, Context, ForwardTensors, GradientsWithoutSamples, InTasks,
    RunningStatistics, SavedStatistics, Shape, Synchronized, Tensor, WithoutSamples,
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
    let tasks = ends.zip(&parts).enumerate().map(|(rank, (end, part))| async move {
        let context = of_rank(context, rank).await?;
        replica(&context, case, end, part).await
    });
    let results = join_all(tasks).await;
    let mut joined: Option<Outputs> = None;
    for (rank, outputs) in results.into_iter().enumerate() {
        let outputs = outputs.map_err(|error| format!("replica {rank}: {error}"))?;
        joined = Some(match joined {
            None => outputs,
            Some(joined) => join(joined, outputs)?,
        });
    }
    let mut joined = joined.ok_or("there are no replicas")?;
    for name in ["y", "dx", "dresidual"] {
        if let Some(output) = joined.tensors.get_mut(name) {
            output.shape = case.output_shape(name);
        }
    }
    Ok(joined)
}

/// The context for the first replica; for the others a new device of the same adapter.
async fn of_rank(context: &Context, rank: usize) -> Result<Context, AnyError> {
    if rank == 0 {
        return Ok(context.clone());
    }
    Ok(Context::with_adapter_named(&context.device().adapter_info().name).await?)
}

fn join(mut joined: Outputs, other: Outputs) -> Result<Outputs, AnyError> {
    for (name, output) in other.tensors {
        let Some(all) = joined.tensors.get_mut(&name) else {
            return Err(format!("the first replica has no {name}").into());
        };
        if matches!(name.as_str(), "y" | "dx" | "dresidual") {
            all.values.extend(output.values);
        } else if all.values.iter().zip(&output.values).any(|(a, b)| a.to_bits() != b.to_bits()) {
            return Err(format!("{name} differs between replicas").into());
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
    let make = Maker { context, shape, dtype: options.dtype };
    let (weight, bias) = (make.input(case, "weight")?, make.input(case, "bias")?);
    let (weight, bias) = (weight.as_ref().map(range), bias.as_ref().map(range));
    let running = running_values(case, channels)?;
    let running = running.map(|values| RunningStatistics::upload(context, &values)).transpose()?;
    let saved = SavedStatistics::new(context, channels)?;
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
