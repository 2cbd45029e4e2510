//! Kinds `population`, `moments` and `double_backward`.

use super::{AnyError, Maker, dtype, layout, options, range, submit};
use crate::{Case, Outputs, Stats};
use wgpu_batchnorm::{
    BatchNorm, BatchNormError, Context, DestroyOnDrop, DoubleBackwardTensors, ForwardTensors, Mode, Momentum,
    Options, RunningValues, SavedStatistics, Shape, Source, StatisticsTensors, Tensor, submit_moments,
};

/// The population estimate and the moving average over the same sequence of batches, without a readback
/// between them.
pub(super) async fn population(context: &Context, case: &Case, batches: usize) -> Result<Outputs, AnyError> {
    let mut outputs = Outputs::default();
    for (momentum, names) in [
        (Momentum::Cumulative, ["population_mean", "population_var"]),
        (options(case, 1)?.momentum, ["running_mean", "running_var"]),
    ] {
        // Each batch has a maker of its own; the first one's has the running statistics.
        let (mut running, mut makers) = (None, Vec::new());
        for i in 0..batches {
            let name = format!("x.{i}");
            let input = case.input(&name).ok_or_else(|| format!("{name} is missing"))?;
            let shape = Shape::new(&input.shape, layout(case))?;
            let channels = shape.channels();
            let options = Options { momentum, running_statistics: true, ..options(case, channels)? };
            let make = Maker::new(context, shape, options.dtype);
            let x = make.full(&input.values)?;
            if running.is_none() {
                running = Some(make.running_of(&RunningValues::start(channels))?);
            }
            let saved = make.saved(SavedStatistics::new(context, channels)?);
            let tensors = StatisticsTensors {
                x: range(&x),
                mask: None,
                running: running.as_ref(),
                saved: &saved,
                workspace: None,
            };
            let statistics = BatchNorm::new(context, options)?.bind_statistics(&shape, &tensors)?;
            submit(context, |encoder| statistics.record(encoder))?;
            makers.push(make);
        }
        let values = running.ok_or("there are no batches")?.download(context).await?;
        for (name, values) in names.into_iter().zip([values.mean, values.var]) {
            outputs.insert(name, vec![values.len()], values);
        }
    }
    Ok(outputs)
}

/// Mean and biased variance over any axes.
pub(super) async fn moments(context: &Context, case: &Case, axes: &[usize]) -> Result<Outputs, AnyError> {
    let input = case.input("x").ok_or("x is missing")?;
    let shape = Shape::of_moments(&input.shape, axes)?;
    let x = Tensor::upload_as(context, shape, dtype(case)?, &input.values)?;
    let moments = submit_moments(&x)?;
    let made = DestroyOnDrop::default();
    made.add([x.range(), moments.mean.range(), moments.variance.range()]);
    let mut outputs = Outputs::default();
    outputs.insert("mean", case.output_shape("mean"), moments.mean.download().await?);
    outputs.insert("var", case.output_shape("var"), moments.variance.download().await?);
    Ok(outputs)
}

/// Forward, and the double backward pass of what a backward pass would be given.
pub(super) async fn double_backward(context: &Context, case: &Case) -> Result<Outputs, AnyError> {
    let sizes = case.output_shape("grad_x");
    let shape = Shape::new(&sizes, layout(case))?;
    let channels = shape.channels();
    let options = options(case, channels)?;
    let source = if case.stats == Stats::Batch { Source::Batch } else { Source::Running };
    let mode = Mode { source, update: false };
    let batch_norm = BatchNorm::new(context, options)?;
    let make = Maker::new(context, shape, options.dtype);
    let full = |name| make.full(case.values(name).unwrap_or_default());
    let (x, dy, ddx, y) = (full("x")?, full("dy")?, full("ddx")?, make.full_zeros()?);
    let vector = |name| make.input(case, name);
    let (weight, bias) = (vector("weight")?, vector("bias")?);
    let (ddweight, ddbias) = (vector("ddweight")?, vector("ddbias")?);
    let running = make.running(case)?;
    let saved = make.saved(batch_norm.saved_statistics(&shape)?);
    let (grad_dy, grad_x, grad_weight) = (make.full_zeros()?, make.full_zeros()?, make.vector_zeros()?);
    let forward = ForwardTensors {
        weight: weight.as_ref().map(range),
        bias: bias.as_ref().map(range),
        running: running.as_ref(),
        ..ForwardTensors::new(range(&x), range(&y), &saved)
    };
    let double = DoubleBackwardTensors {
        x: range(&x),
        dy: range(&dy),
        ddx: range(&ddx),
        ddweight: ddweight.as_ref().map(range),
        ddbias: ddbias.as_ref().map(range),
        mask: None,
        saved: &saved,
        grad_dy: range(&grad_dy),
        grad_x: range(&grad_x),
        grad_weight: Some(range(&grad_weight)),
        workspace: None,
    };
    submit::<BatchNormError>(context, |encoder| {
        batch_norm.bind_forward(&shape, mode, &forward)?.record(&mut *encoder)?;
        batch_norm.bind_double_backward(&shape, mode, &double)?.record(encoder)
    })?;
    let mut outputs = Outputs::default();
    outputs.insert("grad_dy", sizes.clone(), grad_dy.download().await?);
    outputs.insert("grad_x", sizes, grad_x.download().await?);
    outputs.insert("grad_weight", vec![channels], grad_weight.download().await?);
    Ok(outputs)
}
