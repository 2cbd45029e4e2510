//! Kinds `step`, `masked` and `ghost`: one forward and one backward pass.

use super::{
    AnyError, Maker, NoChoice, forced, insert_batch, insert_running, insert_tensors, layout, options, range,
    submit,
};
use crate::{Case, Kind, Outputs, Stats, Update};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BatchNormError, Context, ForwardTensors, GivenStatistics, Mask,
    Mode, Shape, Source, Tensor,
};

pub(super) async fn run(context: &Context, case: &Case) -> Result<Outputs, AnyError> {
    let sizes = case.output_shape("y");
    let shape = Shape::new(&sizes, layout(case))?;
    let channels = shape.channels();
    let options = options(case, channels)?;
    let source = match case.stats {
        Stats::Batch => Source::Batch,
        Stats::Running => Source::Running,
        Stats::Given => Source::Given,
    };
    let mode =
        Mode { source, update: case.update != Update::None || matches!(case.kind, Kind::Ghost { .. }) };
    let batch_norm = BatchNorm::new(context, options)?;

    let make = Maker::new(context, shape, options.dtype);
    let full = |name| case.values(name).map(|values| make.full(values)).transpose();
    let (x, dy, residual) = (full("x")?, full("dy")?, full("residual")?);
    let (x, dy) = (x.ok_or("x is missing")?, dy.ok_or("dy is missing")?);
    let (weight, bias) = (make.input(case, "weight")?, make.input(case, "bias")?);
    let given = match (make.input(case, "given_mean")?, make.input(case, "given_var")?) {
        (Some(mean), Some(var)) if source == Source::Given => {
            Some(GivenStatistics { mean: range(&mean), var: range(&var) })
        }
        _ => None,
    };
    let shown = case.values("mask").map(|mask| mask.iter().map(|&value| value != 0.0).collect::<Vec<_>>());
    let mask = shown.map(|shown| Mask::upload(context, &shape, &shown)).transpose()?;
    let running = make.running(case)?;
    let saved = make.saved(batch_norm.saved_statistics(&shape)?);
    let (y, dx) = (make.full_zeros()?, make.full_zeros()?);
    let dresidual = residual.as_ref().map(|_| make.full_zeros()).transpose()?;
    let gradient = |wanted: bool| wanted.then(|| make.vector_zeros()).transpose();
    let (dweight, dbias) = (gradient(options.weight)?, gradient(options.bias)?);

    let forward = ForwardTensors {
        weight: weight.as_ref().map(range),
        bias: bias.as_ref().map(range),
        running: running.as_ref(),
        given: given.as_ref(),
        residual: residual.as_ref().map(range),
        mask: mask.as_ref(),
        ..ForwardTensors::new(range(&x), range(&y), &saved)
    };
    let replaced = |tensor: &Tensor| (range(tensor), Accumulation::Replace);
    let backward = BackwardTensors {
        residual: residual.as_ref().map(range),
        mask: mask.as_ref(),
        dx: Some(range(&dx)),
        dresidual: dresidual.as_ref().map(range),
        dweight: dweight.as_ref().map(replaced),
        dbias: dbias.as_ref().map(replaced),
        ..BackwardTensors::new(range(&x), range(&dy), &saved)
    };
    let forward = batch_norm.bind_forward(&shape, mode, &forward)?;
    let backward = batch_norm.bind_backward(&shape, mode, &backward)?;
    if let Some(traversal) = forced(context)
        && [&forward, &backward].iter().all(|operation| operation.plan().traversal() != Some(traversal))
    {
        return Err(NoChoice(traversal).into());
    }
    submit::<BatchNormError>(context, |encoder| {
        forward.record(&mut *encoder)?;
        backward.record(encoder)
    })?;

    let mut outputs = Outputs::default();
    insert_tensors(&mut outputs, &sizes, [("y", Some(y)), ("dx", Some(dx)), ("dresidual", dresidual)])
        .await?;
    insert_tensors(&mut outputs, &[channels], [("dweight", dweight), ("dbias", dbias)]).await?;
    if source == Source::Batch && !matches!(case.kind, Kind::Ghost { .. }) {
        insert_batch(&mut outputs, context, &saved).await?;
    }
    // Those of a case with given statistics stay as they are, and are not among its outputs.
    insert_running(&mut outputs, context, case, running.filter(|_| source != Source::Given)).await?;
    Ok(outputs)
}
