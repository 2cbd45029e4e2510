//! Kind `sync`: replicas on devices of their own, each a task; or one replica of any transport.

use super::{
    AnyError, Maker, RunError, insert_batch, insert_running, insert_tensors, layout, options, range,
    running_values,
};
use crate::{Case, Kind, Outputs, judge};
use futures_util::future::join_all;
use std::ops::Range;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, Context, Exchange, ForwardTensors, GradientsWithoutSamples,
    InTasks, RunningStatistics, SavedStatistics, Shape, Synchronized, Tensor, WithoutSamples,
};

/// All replicas of the case, as many as it names, joined: each has the outputs of all.
pub(super) async fn run(context: &Context, case: &Case, samples: &[usize]) -> Result<Outputs, AnyError> {
    let ends = InTasks::group(samples.len()).into_iter();
    let tasks = ends.enumerate().map(|(rank, end)| async move {
        let context = of_rank(context, rank).await?;
        of_all(&context, case, &end, samples).await
    });
    let mut joined = None;
    for (rank, outputs) in join_all(tasks).await.into_iter().enumerate() {
        let outputs = outputs.map_err(|error| format!("replica {rank}: {error}"))?;
        joined.get_or_insert(outputs);
    }
    Ok(joined.ok_or("there are no replicas")?)
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
        let all = end.start(own.clone())?.gathered().await?;
        if matches!(name.as_str(), "y" | "dx" | "dresidual") {
            let words = all.iter().flat_map(|bytes| bytes.as_chunks::<4>().0);
            output.values = words.map(|word| f32::from_le_bytes(*word)).collect();
            output.shape = case.output_shape(name);
        } else if all.iter().any(|other| *other != own) {
            return Err(format!("{name} differs between replicas").into());
        }
    }
    Ok(outputs)
}

/// The context for the first replica; for the others a new device of the same adapter.
async fn of_rank(context: &Context, rank: usize) -> Result<Context, AnyError> {
    if rank == 0 {
        return Ok(context.clone());
    }
    Ok(Context::with_adapter_named(&context.device().adapter_info().name).await?)
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
