//! Every error, produced for real; after each the device, where it survives, still computes a step right.

use crate::Test;
use crate::subject::{Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::{
    self, Backends, BufferDescriptor, BufferUsages, DeviceDescriptor, Instance, InstanceDescriptor,
};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BatchNormError, BufferRange, Context, ContextError,
    DeviceError, ForwardTensors, Layer, LayerError, Layout, Mode, Momentum, Options, OptionsError,
    RunningStatistics, RunningValues, SavedStatistics, Shape, ShapeError, Tensor, TensorError, UploadError,
    Vector,
};

pub(crate) const TESTS: &[Test] = &[
    ("shapes", shapes),
    ("options", options),
    ("statistics_that_do_not_exist", statistics_that_do_not_exist),
    ("ranges", ranges),
    ("overlaps", overlaps),
    ("tensors_that_are_missing_or_too_many", tensors_that_are_missing_or_too_many),
    ("backward_without_its_forward", backward_without_its_forward),
    ("a_refused_pass_records_nothing", a_refused_pass_records_nothing),
    ("tensors_of_another_device", tensors_of_another_device),
    ("destroyed_tensors", destroyed_tensors),
    ("uploads", uploads),
    ("no_adapter", no_adapter),
    ("a_lost_device", a_lost_device),
    ("out_of_memory", out_of_memory),
    ("a_buffer_beyond_the_limit", a_buffer_beyond_the_limit),
];

const CHANNELS: usize = 6;

/// A small step with a buffer of its own for each tensor.
struct Step {
    shape: Shape,
    batch_norm: BatchNorm,
    x: Tensor,
    y: Tensor,
    dy: Tensor,
    dx: Tensor,
    weight: Vector,
    bias: Vector,
    dweight: Vector,
    running: RunningStatistics,
    saved: SavedStatistics,
}

impl Step {
    fn new(context: &Context) -> Result<Self, Failed> {
        let shape = shape(&[3, CHANNELS, 5, 7], Layout::ChannelsFirst);
        let values = vec![1.0; shape.elements()];
        let tensor = || Tensor::upload(context, shape, &values);
        let vector = || Vector::upload(context, &[1.0; CHANNELS]);
        Ok(Self {
            shape,
            batch_norm: BatchNorm::new(context, Options::new(CHANNELS))?,
            x: tensor()?,
            y: tensor()?,
            dy: tensor()?,
            dx: tensor()?,
            weight: vector()?,
            bias: vector()?,
            dweight: vector()?,
            running: RunningStatistics::upload(context, &RunningValues::start(CHANNELS))?,
            saved: SavedStatistics::new(context, CHANNELS)?,
        })
    }

    fn forward(&self) -> ForwardTensors<'_> {
        ForwardTensors {
            x: self.x.range().clone(),
            y: self.y.range().clone(),
            weight: Some(self.weight.range().clone()),
            bias: Some(self.bias.range().clone()),
            running: Some(&self.running),
            saved: &self.saved,
            workspace: None,
        }
    }

    fn backward(&self) -> BackwardTensors<'_> {
        BackwardTensors {
            x: self.x.range().clone(),
            dy: self.dy.range().clone(),
            weight: Some(self.weight.range().clone()),
            saved: &self.saved,
            dx: Some(self.dx.range().clone()),
            dweight: Some((self.dweight.range().clone(), Accumulation::Replace)),
            dbias: None,
            workspace: None,
        }
    }

    fn bind_forward(&self, tensors: &ForwardTensors<'_>) -> Result<(), BatchNormError> {
        self.batch_norm.bind_forward(&self.shape, Mode::TRAINING, tensors).map(drop)
    }

    fn bind_backward(&self, tensors: &BackwardTensors<'_>) -> Result<(), BatchNormError> {
        self.batch_norm.bind_backward(&self.shape, Mode::TRAINING, tensors).map(drop)
    }
}

/// Fails unless `result` is the error that `is_expected` describes; it must have something to say.
fn expect<T, E: std::error::Error>(
    result: Result<T, E>,
    what: &str,
    is_expected: impl FnOnce(&E) -> bool,
) -> Result<(), Failed> {
    match result {
        Ok(_) => Err(format!("{what}: no error").into()),
        Err(error) if is_expected(&error) && error.to_string().len() > 20 => Ok(()),
        Err(error) => Err(format!("{what}: another error: {error:?}").into()),
    }
}

fn device_still_works(context: &Context) -> Result<(), Failed> {
    Setup::new(shape(&[2, 3, 5], Layout::ChannelsFirst), 0.0, 1.0).check(context)
}

fn buffer(context: &Context, size: u64, usage: BufferUsages) -> wgpu::Buffer {
    let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    context.device().create_buffer(&descriptor)
}

fn shapes(context: &Context) -> Result<(), Failed> {
    let first = |sizes: &[usize]| Shape::new(sizes, Layout::ChannelsFirst);
    expect(first(&[0, 3]), "no samples", |e| matches!(e, ShapeError::Zero { axis: 0, .. }))?;
    expect(first(&[usize::MAX, 3]), "overflow", |e| matches!(e, ShapeError::Overflow { .. }))?;
    expect(first(&[3]), "rank", |e| matches!(e, ShapeError::Rank { .. }))?;
    let step = Step::new(context)?;
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
    let step = Step::new(context)?;
    let batch_norm =
        BatchNorm::new(context, Options { running_statistics: false, ..Options::new(CHANNELS) })?;
    let tensors = ForwardTensors { running: None, ..step.forward() };
    let bound = batch_norm.bind_forward(&step.shape, Mode::EVALUATION, &tensors);
    expect(bound, "evaluation", |e| *e == BatchNormError::NoRunningStatistics)?;
    let bound = batch_norm.bind_backward(&step.shape, Mode::EVALUATION, &step.backward());
    expect(bound, "evaluation", |e| *e == BatchNormError::NoRunningStatistics)?;
    device_still_works(context)
}

fn ranges(context: &Context) -> Result<(), Failed> {
    let step = Step::new(context)?;
    let bytes = 4 * step.shape.elements() as u64;
    let alignment = u64::from(context.traits().min_storage_buffer_offset_alignment);
    let large = buffer(context, 2 * bytes, BufferUsages::STORAGE);
    let with_y = |y: BufferRange| step.bind_forward(&ForwardTensors { y, ..step.forward() });

    expect(with_y(BufferRange::new(&large, 0..bytes - 4)), "too small", |e| {
        *e == TensorError::TooSmall { tensor: "y", actual: bytes - 4, expected: bytes }.into()
    })?;
    expect(with_y(BufferRange::new(&large, 4..bytes + 4)), "misaligned", |e| {
        *e == TensorError::Misaligned { tensor: "y", offset: 4, alignment }.into()
    })?;
    for range in [2 * bytes..3 * bytes, u64::MAX - 4..u64::MAX] {
        expect(with_y(BufferRange::new(&large, range)), "out of bounds", |e| {
            matches!(e, BatchNormError::Tensor(TensorError::OutOfBounds { tensor: "y", .. }))
        })?;
    }
    let copied_only = buffer(context, bytes, BufferUsages::COPY_DST);
    expect(with_y(copied_only.into()), "usage", |e| {
        *e == TensorError::Usage { tensor: "y", actual: BufferUsages::COPY_DST }.into()
    })?;
    let short = Vector::upload(context, &[1.0; CHANNELS - 1])?;
    let tensors = ForwardTensors { weight: Some(short.range().clone()), ..step.forward() };
    expect(step.bind_forward(&tensors), "weight", |e| {
        *e == TensorError::TooSmall { tensor: "weight", actual: 20, expected: 24 }.into()
    })?;
    let tensors = BackwardTensors { dx: Some(short.range().clone()), ..step.backward() };
    expect(step.bind_backward(&tensors), "dx", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::TooSmall { tensor: "dx", .. }))
    })?;
    let workspace = Some(short.range().clone());
    expect(step.bind_forward(&ForwardTensors { workspace, ..step.forward() }), "workspace", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::TooSmall { tensor: "workspace", .. }))
    })?;
    let saved = SavedStatistics::in_range(short.range().clone(), CHANNELS);
    expect(step.bind_forward(&ForwardTensors { saved: &saved, ..step.forward() }), "saved", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::TooSmall { tensor: "saved", .. }))
    })?;
    device_still_works(context)
}

fn overlaps(context: &Context) -> Result<(), Failed> {
    let step = Step::new(context)?;
    let bytes = 4 * step.shape.elements() as u64;
    let alignment = u64::from(context.traits().min_storage_buffer_offset_alignment);
    let large = buffer(context, 8 * bytes, BufferUsages::STORAGE);
    let at = |offset: u64, bytes: u64| BufferRange::new(&large, offset..offset + bytes);
    let overlap = |first: &'static str, second: &'static str| {
        move |error: &BatchNormError| {
            matches!(error, BatchNormError::Tensor(TensorError::Overlap { first: a, second: b, .. })
                if *a == first && *b == second)
        }
    };
    let (x, shifted) = (at(0, bytes), at(alignment, bytes));
    let tensors = ForwardTensors { x: x.clone(), y: shifted.clone(), ..step.forward() };
    expect(step.bind_forward(&tensors), "x and a shifted y", overlap("x", "y"))?;
    let tensors = ForwardTensors { y: x.clone(), weight: Some(at(0, 24)), ..step.forward() };
    expect(step.bind_forward(&tensors), "y and weight", overlap("y", "weight"))?;
    let tensors =
        ForwardTensors { x: x.clone(), y: x.clone(), bias: Some(at(alignment, 24)), ..step.forward() };
    expect(step.bind_forward(&tensors), "x in place and bias", overlap("x", "bias"))?;
    let tensors = ForwardTensors { y: x.clone(), workspace: Some(at(0, 8 * bytes)), ..step.forward() };
    expect(step.bind_forward(&tensors), "y and workspace", overlap("y", "workspace"))?;
    let tensors = BackwardTensors { x: x.clone(), dx: Some(x.clone()), ..step.backward() };
    expect(step.bind_backward(&tensors), "dx over x", overlap("x", "dx"))?;
    let tensors = BackwardTensors { x: x.clone(), dy: x.clone(), ..step.backward() };
    expect(step.bind_backward(&tensors), "dy is x", overlap("x", "dy"))?;
    let tensors = BackwardTensors { dy: x.clone(), dx: Some(shifted), ..step.backward() };
    expect(step.bind_backward(&tensors), "dy and a shifted dx", overlap("dy", "dx"))?;
    // Side by side is no overlap, down to the last byte.
    let neighbour = at(bytes.next_multiple_of(alignment), bytes);
    step.bind_forward(&ForwardTensors { x, y: neighbour, ..step.forward() })?;
    device_still_works(context)
}

fn tensors_that_are_missing_or_too_many(context: &Context) -> Result<(), Failed> {
    let step = Step::new(context)?;
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
    let bound = BatchNorm::new(context, options)?.bind_forward(&step.shape, Mode::TRAINING, &step.forward());
    expect(bound, "a weight too many", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::Unexpected { tensor: "weight", .. }))
    })?;
    device_still_works(context)
}

fn backward_without_its_forward(context: &Context) -> Result<(), Failed> {
    let step = Step::new(context)?;
    let mut encoder = context.device().create_command_encoder(&Default::default());
    let backward = step.batch_norm.bind_backward(&step.shape, Mode::TRAINING, &step.backward())?;
    expect(backward.record(&mut encoder), "no forward", |e| matches!(e, BatchNormError::NoForward { .. }))?;
    let smaller = shape(&[2, CHANNELS, 5, 7], Layout::ChannelsFirst);
    step.batch_norm.record_forward(&mut encoder, &smaller, Mode::TRAINING, &step.forward())?;
    expect(
        backward.record(&mut encoder),
        "another shape",
        |e| matches!(e, BatchNormError::OtherForward { actual, .. } if *actual == smaller),
    )?;
    step.batch_norm.record_forward(&mut encoder, &step.shape, Mode::EVALUATION, &step.forward())?;
    expect(backward.record(&mut encoder), "another mode", |e| {
        matches!(e, BatchNormError::OtherForward { actual_mode: Mode::EVALUATION, .. })
    })?;
    step.batch_norm.record_forward(&mut encoder, &step.shape, Mode::TRAINING, &step.forward())?;
    backward.record(&mut encoder)?;
    context.queue().submit([encoder.finish()]);
    device_still_works(context)
}

fn a_refused_pass_records_nothing(context: &Context) -> Result<(), Failed> {
    let step = Step::new(context)?;
    let before = step.dx.download_blocking()?;
    let mut encoder = context.device().create_command_encoder(&Default::default());
    let refused =
        step.batch_norm.record_backward(&mut encoder, &step.shape, Mode::TRAINING, &step.backward());
    expect(refused, "no forward", |e| matches!(e, BatchNormError::NoForward { .. }))?;
    context.queue().submit([encoder.finish()]);
    if step.dx.download_blocking()? == before { Ok(()) } else { Err("dx has changed".into()) }
}

/// Devices of one instance, with plain buffers; and contexts that share nothing, with the library's tensors.
fn tensors_of_another_device(context: &Context) -> Result<(), Failed> {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let device = || -> Result<Context, Failed> {
        let (device, queue) = pollster::block_on(adapter.request_device(&DeviceDescriptor::default()))?;
        Ok(Context::from_device(&device, &queue))
    };
    let (first, second) = (device()?, device()?);
    check_foreign_tensors(&first, &second)?;
    check_foreign_tensors(context, &Context::new_blocking()?)?;
    let x = Tensor::zeros(&second, shape(&[2, 3], Layout::ChannelsFirst))?;
    expect(Layer::new(&first, Options::new(3))?.submit_forward(Mode::TRAINING, &x), "a foreign x", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::OtherDevice { tensor: "x", .. }))
    })
}

fn check_foreign_tensors(context: &Context, other: &Context) -> Result<(), Failed> {
    let (step, foreign) = (Step::new(context)?, Step::new(other)?);
    let tensors = ForwardTensors { y: foreign.y.range().clone(), ..step.forward() };
    expect(step.bind_forward(&tensors), "a foreign y", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::OtherDevice { tensor: "y", .. }))
    })?;
    let tensors = ForwardTensors { bias: Some(foreign.bias.range().clone()), ..step.forward() };
    expect(step.bind_forward(&tensors), "a foreign bias", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::OtherDevice { tensor: "bias", .. }))
    })?;
    let workspace = Some(foreign.dx.range().clone());
    let enough = workspace.as_ref().is_some_and(|range| {
        step.batch_norm.workspace_bytes(&step.shape).is_ok_and(|bytes| bytes <= range.size)
    });
    if enough {
        expect(step.bind_backward(&BackwardTensors { workspace, ..step.backward() }), "workspace", |e| {
            matches!(e, BatchNormError::Tensor(TensorError::OtherDevice { tensor: "workspace", .. }))
        })?;
    }
    device_still_works(context)
}

fn destroyed_tensors(context: &Context) -> Result<(), Failed> {
    let step = Step::new(context)?;
    step.dy.range().buffer.destroy();
    expect(step.bind_backward(&step.backward()), "a destroyed dy", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::OtherDevice { tensor: "dy", .. }))
    })?;
    device_still_works(context)
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
    let running =
        RunningStatistics { mean: beyond.clone(), var: beyond.clone(), num_batches_tracked: beyond };
    expect(running.download_blocking(context), "a range beyond its buffer", |e| {
        matches!(e, DeviceError::Unreadable { .. })
    })?;
    let unreadable = buffer(context, 96, BufferUsages::STORAGE);
    let saved = SavedStatistics::in_range(unreadable, CHANNELS);
    expect(saved.download_blocking(context), "a buffer without COPY_SRC", |e| {
        matches!(e, DeviceError::Unreadable { .. })
    })?;
    device_still_works(context)
}

fn no_adapter(context: &Context) -> Result<(), Failed> {
    let none = Instance::new(InstanceDescriptor {
        backends: Backends::empty(),
        ..InstanceDescriptor::new_without_display_handle()
    });
    expect(pollster::block_on(Context::from_instance(&none)), "no backend", |e| {
        *e == ContextError::NoAdapter
    })?;
    let named = pollster::block_on(Context::with_adapter_named("no such adapter"));
    expect(
        named,
        "an unknown name",
        |e| matches!(e, ContextError::UnknownAdapter { found, .. } if !found.is_empty()),
    )?;
    device_still_works(context)
}

fn a_lost_device(_: &Context) -> Result<(), Failed> {
    let is_lost = |error: &BatchNormError| matches!(error, BatchNormError::Device(DeviceError::Lost { .. }));
    let context = Context::new_blocking()?;
    let step = Step::new(&context)?;
    let forward = step.batch_norm.bind_forward(&step.shape, Mode::TRAINING, &step.forward())?;
    context.device().destroy();
    // The device tells its callback when it is polled.
    context.device().poll(wgpu::PollType::Poll)?;
    let mut encoder = context.device().create_command_encoder(&Default::default());
    expect(forward.record(&mut encoder), "recording", is_lost)?;
    expect(step.bind_forward(&step.forward()), "binding", is_lost)?;
    let uploaded = Tensor::upload(&context, step.shape, &vec![0.0; step.shape.elements()]);
    expect(uploaded, "upload", |e| matches!(e, UploadError::Device(DeviceError::Lost { .. })))?;
    expect(step.y.download_blocking(), "download", |e| matches!(e, DeviceError::Lost { .. }))?;

    // On a device of the caller's, its callback tells the context; without it an upload notices.
    let context = Context::new_blocking()?;
    let callers = Context::from_device(context.device(), context.queue());
    let step = Step::new(&callers)?;
    context.device().destroy();
    let uploaded = Tensor::upload(&callers, step.shape, &vec![0.0; step.shape.elements()]);
    expect(uploaded, "upload", |e| matches!(e, UploadError::Device(DeviceError::Lost { .. })))?;
    callers.mark_lost("the caller's callback says so");
    expect(step.bind_forward(&step.forward()), "binding", is_lost)
}

/// Set in the process that is allowed little memory.
const POOR: &str = "BATCH_NORM_TEST_WITH_LITTLE_MEMORY";

/// A software driver allocates until the process is killed, so this runs in a process of its own that
/// may map 4 GiB, where the driver is told by the system that there is no more.
fn out_of_memory(context: &Context) -> Result<(), Failed> {
    if std::env::var_os(POOR).is_some() {
        return exhaust(context);
    }
    // A card has memory of its own; anything else would take the machine's until something is killed.
    if context.device().adapter_info().device_type == wgpu::DeviceType::DiscreteGpu {
        return exhaust(context);
    }
    if !cfg!(target_os = "linux") {
        return Err("no way to take little memory only on this system: run this test on Linux".into());
    }
    let program = std::env::current_exe()?;
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 4194304 && exec \"$0\" --exact errors::out_of_memory --test-threads 1"])
        .arg(program)
        .env(POOR, "1")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && text.contains("1 passed") {
        device_still_works(context)
    } else {
        Err(format!("{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// Takes memory until there is none, gives it back, and goes on.
fn exhaust(context: &Context) -> Result<(), Failed> {
    let shape = shape(&[1, 1, 128 << 20], Layout::ChannelsFirst);
    let mut taken = Vec::new();
    let error = loop {
        match Tensor::zeros(context, shape) {
            Ok(tensor) if taken.len() < 1000 => taken.push(tensor),
            Ok(_) => return Err("500 GB were granted".into()),
            Err(error) => break error,
        }
    };
    let expected = DeviceError::OutOfMemory { what: "tensor".into(), bytes: 512 << 20 };
    if error != expected {
        return Err(format!("{error:?}, expected {expected:?}").into());
    }
    drop(taken);
    context.device().poll(wgpu::PollType::wait_indefinitely())?;
    device_still_works(context)
}

fn a_buffer_beyond_the_limit(context: &Context) -> Result<(), Failed> {
    let max = context.device().limits().max_buffer_size;
    let elements = usize::try_from(max / 4 + 1)?;
    let shape = Shape::new(&[1, 1, elements], Layout::ChannelsFirst)?;
    expect(Tensor::zeros(context, shape), "a huge tensor", |e| {
        matches!(e, DeviceError::BufferTooLarge { .. })
    })?;
    device_still_works(context)
}
