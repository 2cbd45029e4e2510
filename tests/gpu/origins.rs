//! Backward passes belong to their forward pass: to its shape, its source and its mask. And a layer through all of
//! them.

use crate::Test;
use crate::subject::{Buffers, DTYPES, Setup, device_still_works, expect, shape, submit};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    Activation, BatchNorm, BatchNormError, Context, Extras, ForwardTensors, Layer, Layout, Mask, Mode,
    Options, Order, SavedStatistics, Source, StatisticsTensors, Tensor,
};

pub(crate) const TESTS: &[Test] = &[
    ("another_mask_source_or_shape_is_refused", another_mask_source_or_shape_is_refused),
    ("an_update_makes_no_other_forward", an_update_makes_no_other_forward),
    ("a_residual_belongs_to_both_passes", a_residual_belongs_to_both_passes),
    ("who_left_the_statistics_matters", who_left_the_statistics_matters),
    ("a_layer_with_residual_and_mask", a_layer_with_residual_and_mask),
];

fn another_mask_source_or_shape_is_refused(context: &Context) -> Result<(), Failed> {
    let masked = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.0, 1.0).with_mask(0.5);
    let buffers = Buffers::new(context, &masked)?;
    let batch_norm = &buffers.batch_norm;
    let plain = ForwardTensors { mask: None, ..buffers.forward() };
    let given = ForwardTensors { given: Some(&buffers.given), ..buffers.forward() };
    let backward = buffers.bind_backward(&buffers.backward())?;
    let expected = "[N=4, C=5, S=6] with batch statistics and a mask";
    for (forward, mode, actual) in [
        (&plain, Mode::TRAINING, "[N=4, C=5, S=6] with batch statistics"),
        (&buffers.forward(), Mode::EVALUATION, "[N=4, C=5, S=6] with running statistics and a mask"),
        (&given, Mode::GIVEN, "[N=4, C=5, S=6] with given statistics and a mask"),
    ] {
        let forward = batch_norm.bind_forward(&masked.shape, mode, forward)?;
        submit(context, |encoder| forward.record(encoder))?;
        let refused = submit(context, |encoder| backward.record(encoder));
        expect(refused, actual, |e| {
            *e == BatchNormError::OtherForward { actual: actual.into(), expected: expected.into() }
                && e.to_string().contains(actual)
                && e.to_string().contains(expected)
        })?;
    }
    let dx = buffers.dx.download_blocking()?;
    if dx.iter().any(|&dx| dx != 77.0) {
        return Err("a refused backward pass wrote dx".into());
    }
    buffers.submit(context)?;
    device_still_works(context)
}

fn an_update_makes_no_other_forward(context: &Context) -> Result<(), Failed> {
    for source in [Source::Batch, Source::Running, Source::Given] {
        let mut setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.0, 1.0);
        setup.mode = Mode { source, update: true };
        let expected = setup.run(context)?;
        let buffers = Buffers::new(context, &setup)?;
        let mode = Mode { source, update: false };
        let forward = buffers.bind_forward(&buffers.forward())?;
        let backward = buffers.batch_norm.bind_backward(&setup.shape, mode, &buffers.backward())?;
        submit::<BatchNormError>(context, |encoder| {
            forward.record(&mut *encoder)?;
            backward.record(encoder)
        })?;
        buffers.results(context)?.same_bits(&expected)?;
    }
    Ok(())
}

/// Without the residual, what enters the activation is another number, and every gradient wrong.
fn a_residual_belongs_to_both_passes(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.0, 1.0)
        .with_activation(Activation::Silu, Order::Post)
        .with_residual();
    let mut buffers = Buffers::new(context, &setup)?;
    let forward = buffers.bind_forward(&buffers.forward())?;
    submit(context, |encoder| forward.record(encoder))?;
    (buffers.residual, buffers.dresidual) = (None, None);
    let backward = buffers.bind_backward(&buffers.backward())?;
    expect(submit(context, |encoder| backward.record(encoder)), "no residual", |e| {
        matches!(e, BatchNormError::OtherForward { .. })
    })
}

/// Statistics alone save no γ, and those of a whole batch none for its ghost batches.
fn who_left_the_statistics_matters(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.0, 1.0);
    let mut buffers = Buffers::new(context, &setup)?;
    buffers.saved = SavedStatistics::for_groups(context, 5, 4)?;
    let forward = buffers.bind_forward(&buffers.forward())?;
    let backward = buffers.bind_backward(&buffers.backward())?;
    let (x, saved) = (buffers.x.range().clone(), &buffers.saved);
    let tensors = StatisticsTensors { x, mask: None, running: None, saved, workspace: None };
    let statistics = buffers.batch_norm.bind_statistics(&setup.shape, &tensors)?;
    submit::<BatchNormError>(context, |encoder| {
        forward.record(&mut *encoder)?;
        statistics.record(encoder)
    })?;
    expect(
        submit(context, |encoder| backward.record(encoder)),
        "statistics alone",
        |e| matches!(e, BatchNormError::OtherForward { actual, .. } if actual.ends_with("alone")),
    )?;
    submit(context, |encoder| forward.record(encoder))?;
    let others = [
        Options { ghost_batch: Some(1), ..setup.options },
        Options { activation: Activation::Relu, ..setup.options },
    ];
    for options in others {
        let other = BatchNorm::new(context, options)?;
        let backward = other.bind_backward(&setup.shape, setup.mode, &buffers.backward())?;
        expect(submit(context, |encoder| backward.record(encoder)), "another layer", |e| {
            matches!(e, BatchNormError::OtherForward { .. })
        })?;
    }
    submit(context, |encoder| backward.record(encoder))?;
    Ok(())
}

fn a_layer_with_residual_and_mask(context: &Context) -> Result<(), Failed> {
    for dtype in DTYPES {
        let setup = Setup::new(shape(&[4, 6, 9], Layout::ChannelsLast), 1.0, 2.0)
            .with_dtype(dtype)
            .with_activation(Activation::Relu, Order::Post)
            .with_residual();
        let lengths = [9, 5, 0, 2];
        let mut setup = setup;
        setup.mask = Some(lengths.iter().flat_map(|&length| (0..9).map(move |s| s < length)).collect());
        let expected = setup.run(context)?;
        let mut layer = Layer::new(context, setup.options)?;
        layer.set_weight(&setup.weight)?;
        layer.set_bias(&setup.bias)?;
        layer.set_running(&setup.running)?;
        let upload = |values: &[f32]| Tensor::upload_as(context, setup.shape, dtype, values);
        let (x, dy) = (upload(&setup.x)?, upload(&setup.dy)?);
        let residual = upload(setup.residual.as_deref().unwrap_or_default())?;
        let mask = Mask::from_lengths(context, &setup.shape, &lengths)?;
        let extras = Extras { residual: Some(&residual), mask: Some(&mask), given: None };
        let y = layer.submit_forward_with(Mode::TRAINING, &x, extras)?;
        let unmasked = Extras { mask: None, ..extras };
        expect(layer.submit_backward_with(&x, &dy, unmasked), "without the mask", |e| {
            matches!(e, BatchNormError::OtherForward { .. })
        })?;
        let gradients = layer.submit_backward_with(&x, &dy, extras)?;
        assert_eq!(y.download_blocking()?, expected.y);
        assert_eq!(gradients.dx.download_blocking()?, expected.dx);
        let dresidual = gradients.dresidual.map(|dresidual| dresidual.download_blocking()).transpose()?;
        assert_eq!(dresidual, expected.dresidual);
        let dweight = gradients.dweight.map(|dweight| dweight.download_blocking()).transpose()?;
        assert_eq!(dweight, Some(expected.dweight));
        assert_eq!(layer.running_blocking()?, expected.running);

        // A refused pass leaves the layer as it was.
        let before = layer.running_blocking()?;
        let other = Mask::from_lengths(context, &shape(&[9, 6, 4], Layout::ChannelsLast), &[4; 9])?;
        let wrong = Extras { mask: Some(&other), ..extras };
        expect(layer.submit_forward_with(Mode::TRAINING, &x, wrong), "another's mask", |e| {
            matches!(e, BatchNormError::Mask(_))
        })?;
        assert_eq!(layer.running_blocking()?, before);
    }
    Ok(())
}
