//! Every error, produced for real; after each the device, where it survives, still computes a step right.

mod devices;
mod dtypes;
mod ranges;

use crate::Test;
use crate::subject::{Buffers, Setup, buffer, device_still_works, expect, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::BufferUsages;
use wgpu_batchnorm::{
    BatchNorm, BatchNormError, BufferRange, Context, DeviceError, ForwardTensors, Layer, LayerError, Layout,
    Mode, Momentum, Options, OptionsError, RunningStatistics, RunningValues, SavedStatistics, Shape,
    ShapeError, Tensor, TensorError, UploadError,
};

pub(crate) const TESTS: &[Test] = &[
    ("shapes", shapes),
    ("options", options),
    ("statistics_that_do_not_exist", statistics_that_do_not_exist),
    ("ranges", ranges::ranges),
    ("overlaps", ranges::overlaps),
    ("ranges_that_are_too_small_for_their_dtype", dtypes::ranges_that_are_too_small),
    ("tensors_of_another_dtype", dtypes::tensors_of_another_dtype),
    ("tensors_that_are_missing_or_too_many", tensors_that_are_missing_or_too_many),
    ("backward_without_its_forward", backward_without_its_forward),
    ("a_refused_pass_records_nothing", a_refused_pass_records_nothing),
    ("tensors_of_another_device", devices::tensors_of_another_device),
    ("destroyed_tensors", devices::destroyed_tensors),
    ("what_was_submitted_outlives_its_tensors", devices::what_was_submitted_outlives_its_tensors),
    ("uploads", uploads),
    ("no_adapter", devices::no_adapter),
    ("a_lost_device", devices::a_lost_device),
    ("out_of_memory", devices::out_of_memory),
    ("a_buffer_beyond_the_limit", devices::a_buffer_beyond_the_limit),
];

const CHANNELS: usize = 6;

/// A small step with a buffer of its own for each tensor.
fn step(context: &Context) -> Result<Buffers, Failed> {
    Buffers::new(context, &Setup::new(shape(&[3, CHANNELS, 5, 7], Layout::ChannelsFirst), 0.0, 1.0))
}

fn shapes(context: &Context) -> Result<(), Failed> {
    let first = |sizes: &[usize]| Shape::new(sizes, Layout::ChannelsFirst);
    expect(first(&[0, 3]), "no samples", |e| matches!(e, ShapeError::Zero { axis: 0, .. }))?;
    expect(first(&[usize::MAX, 3]), "overflow", |e| matches!(e, ShapeError::Overflow { .. }))?;
    expect(first(&[3]), "rank", |e| matches!(e, ShapeError::Rank { .. }))?;
    let step = step(context)?;
    let other = shape(&[3, CHANNELS + 1, 5, 6], Layout::ChannelsFirst);
    let bound = step.batch_norm.bind_forward(&other, Mode::TRAINING, &step.forward());
    expect(bound, "channels", |e| matches!(e, BatchNormError::Channels { actual: 7, expected: 6, .. }))?;
    let single = shape(&[1, CHANNELS, 1, 1], Layout::ChannelsFirst);
    let bound = step.batch_norm.bind_forward(&single, Mode::TRAINING, &step.forward());
    expect(bound, "one value", |e| matches!(e, BatchNormError::OneValuePerChannel { .. }))?;
    let bound = step.batch_norm.bind_backward(&single, Mode::TRAINING, &step.backward());
    expect(bound, "one value", |e| matches!(e, BatchNormError::OneValuePerChannel { .. }))?;
    device_still_works(context)
}

fn options(context: &Context) -> Result<(), Failed> {
    let valid = Options::new(3);
    for eps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let made = BatchNorm::new(context, Options { eps, ..valid });
        expect(made, "eps", |e| matches!(e, OptionsError::Epsilon { .. }))?;
    }
    for momentum in [-0.1, 1.5, f64::NAN] {
        let options = Options { momentum: Momentum::MovingAverage(momentum), ..valid };
        let made = Layer::new(context, options);
        expect(made, "momentum", |e| matches!(e, LayerError::Options(OptionsError::Momentum { .. })))?;
    }
    expect(BatchNorm::new(context, Options::new(0)), "channels", |e| {
        *e == OptionsError::Channels { actual: 0 }
    })?;
    device_still_works(context)
}

fn statistics_that_do_not_exist(context: &Context) -> Result<(), Failed> {
    let step = step(context)?;
    let batch_norm =
        BatchNorm::new(context, Options { running_statistics: false, ..Options::new(CHANNELS) })?;
    let tensors = ForwardTensors { running: None, ..step.forward() };
    let bound = batch_norm.bind_forward(&step.setup.shape, Mode::EVALUATION, &tensors);
    expect(bound, "evaluation", |e| *e == BatchNormError::NoRunningStatistics)?;
    let bound = batch_norm.bind_backward(&step.setup.shape, Mode::EVALUATION, &step.backward());
    expect(bound, "evaluation", |e| *e == BatchNormError::NoRunningStatistics)?;
    device_still_works(context)
}

fn tensors_that_are_missing_or_too_many(context: &Context) -> Result<(), Failed> {
    let step = step(context)?;
    for (tensor, tensors) in [
        ("weight", ForwardTensors { weight: None, ..step.forward() }),
        ("bias", ForwardTensors { bias: None, ..step.forward() }),
        ("running", ForwardTensors { running: None, ..step.forward() }),
    ] {
        expect(
            step.bind_forward(&tensors),
            tensor,
            |e| matches!(e, BatchNormError::Tensor(TensorError::Missing { tensor: named, .. }) if *named == tensor),
        )?;
    }
    let options = Options { weight: false, ..Options::new(CHANNELS) };
    let bound =
        BatchNorm::new(context, options)?.bind_forward(&step.setup.shape, Mode::TRAINING, &step.forward());
    expect(bound, "a weight too many", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::Unexpected { tensor: "weight", .. }))
    })?;
    device_still_works(context)
}

fn backward_without_its_forward(context: &Context) -> Result<(), Failed> {
    let step = step(context)?;
    let mut encoder = context.device().create_command_encoder(&Default::default());
    let backward = step.batch_norm.bind_backward(&step.setup.shape, Mode::TRAINING, &step.backward())?;
    expect(backward.record(&mut encoder), "no forward", |e| matches!(e, BatchNormError::NoForward { .. }))?;
    let smaller = shape(&[2, CHANNELS, 5, 7], Layout::ChannelsFirst);
    step.batch_norm.record_forward(&mut encoder, &smaller, Mode::TRAINING, &step.forward())?;
    expect(
        backward.record(&mut encoder),
        "another shape",
        |e| matches!(e, BatchNormError::OtherForward { actual, .. } if actual.starts_with(&smaller.to_string())),
    )?;
    step.batch_norm.record_forward(&mut encoder, &step.setup.shape, Mode::EVALUATION, &step.forward())?;
    expect(backward.record(&mut encoder), "another mode", |e| {
        matches!(e, BatchNormError::OtherForward { actual, expected }
            if actual.contains("running") && expected.contains("batch"))
    })?;
    step.batch_norm.record_forward(&mut encoder, &step.setup.shape, Mode::TRAINING, &step.forward())?;
    backward.record(&mut encoder)?;
    context.queue().submit([encoder.finish()]);
    device_still_works(context)
}

fn a_refused_pass_records_nothing(context: &Context) -> Result<(), Failed> {
    let step = step(context)?;
    let before = step.dx.download_blocking()?;
    let mut encoder = context.device().create_command_encoder(&Default::default());
    let refused =
        step.batch_norm.record_backward(&mut encoder, &step.setup.shape, Mode::TRAINING, &step.backward());
    expect(refused, "no forward", |e| matches!(e, BatchNormError::NoForward { .. }))?;
    context.queue().submit([encoder.finish()]);
    if step.dx.download_blocking()? == before { Ok(()) } else { Err("dx has changed".into()) }
}

fn uploads(context: &Context) -> Result<(), Failed> {
    let shape = shape(&[2, 3], Layout::ChannelsFirst);
    expect(Tensor::upload(context, shape, &[0.0; 5]), "a short tensor", |e| {
        matches!(e, UploadError::Length { actual: 5, expected: 6, .. })
    })?;
    let mut layer =
        Layer::new(context, Options { bias: false, running_statistics: false, ..Options::new(3) })?;
    expect(layer.set_weight(&[1.0]), "a short weight", |e| matches!(e, UploadError::Length { .. }))?;
    expect(layer.set_bias(&[1.0; 3]), "a bias too many", |e| matches!(e, UploadError::Length { .. }))?;
    let running = RunningValues::start(3);
    expect(layer.set_running(&running), "running values too many", |e| {
        matches!(e, UploadError::Length { .. })
    })?;
    layer.set_weight(&[1.0; 3])?;
    let other = Tensor::zeros(context, Shape::new(&[1, 3, 2], Layout::ChannelsFirst)?)?;
    let x = Tensor::upload(context, shape, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    let dy = Tensor::upload(context, shape, &[1.0; 6])?;
    expect(layer.submit_backward(&x, &dy), "no forward", |e| matches!(e, BatchNormError::NoForward { .. }))?;
    expect(layer.submit_backward(&x, &other), "another dy", |e| matches!(e, BatchNormError::Shapes { .. }))?;
    let beyond = BufferRange::new(&x.range().buffer, 0..u64::MAX);
    let running = RunningStatistics {
        mean: beyond.clone(),
        var: beyond.clone(),
        num_batches_tracked: beyond.clone(),
        num_batches_skipped: beyond,
    };
    expect(running.download_blocking(context), "a range beyond its buffer", |e| {
        matches!(e, DeviceError::Unreadable { .. })
    })?;
    let unreadable = buffer(context, 96, BufferUsages::STORAGE);
    let saved = SavedStatistics::in_range(BufferRange::from(unreadable), CHANNELS);
    expect(saved.download_blocking(context), "a buffer without COPY_SRC", |e| {
        matches!(e, DeviceError::Unreadable { .. })
    })?;
    device_still_works(context)
}
