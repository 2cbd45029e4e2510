//! Errors of devices: lost, out of memory, or another one's tensors.

use super::step;
use crate::subject::{device_still_works, expect, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::{self, Backends, DeviceDescriptor, Instance, InstanceDescriptor};
use wgpu_batchnorm::{
    BackwardTensors, BatchNormError, Context, ContextError, DestroyOnDrop, DeviceError, ForwardTensors,
    Layer, Layout, Mode, Options, Shape, Tensor, TensorError, UploadError,
};

/// Devices of one instance, with plain buffers; and contexts that share nothing, with the library's tensors.
pub(super) fn tensors_of_another_device(context: &Context) -> Result<(), Failed> {
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
    let (step, foreign) = (step(context)?, step(other)?);
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
        step.batch_norm.workspace_bytes(&step.setup.shape).is_ok_and(|bytes| bytes <= range.size)
    });
    if enough {
        expect(step.bind_backward(&BackwardTensors { workspace, ..step.backward() }), "workspace", |e| {
            matches!(e, BatchNormError::Tensor(TensorError::OtherDevice { tensor: "workspace", .. }))
        })?;
    }
    device_still_works(context)
}

pub(super) fn destroyed_tensors(context: &Context) -> Result<(), Failed> {
    let step = step(context)?;
    step.dy.range().buffer.destroy();
    expect(step.bind_backward(&step.backward()), "a destroyed dy", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::OtherDevice { tensor: "dy", .. }))
    })?;
    device_still_works(context)
}

pub(super) fn what_was_submitted_outlives_its_tensors(context: &Context) -> Result<(), Failed> {
    let shape = shape(&[2, 3], Layout::ChannelsLast);
    let x = Tensor::upload(context, shape, &[1.0; 6])?;
    let done_with = DestroyOnDrop::default();
    done_with.add([x.range()]);
    let y = Layer::new(context, Options::new(3))?.submit_forward(Mode::TRAINING, &x)?;
    drop(done_with);
    assert_eq!(y.download_blocking()?, [0.0; 6]);
    expect(x.download_blocking(), "a destroyed x", |error| matches!(error, DeviceError::Refused { .. }))?;
    device_still_works(context)
}

pub(super) fn no_adapter(context: &Context) -> Result<(), Failed> {
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

pub(super) fn a_lost_device(_: &Context) -> Result<(), Failed> {
    let is_lost = |error: &BatchNormError| matches!(error, BatchNormError::Device(DeviceError::Lost { .. }));
    let context = Context::new_blocking()?;
    let step = step(&context)?;
    let forward = step.batch_norm.bind_forward(&step.setup.shape, Mode::TRAINING, &step.forward())?;
    context.device().destroy();
    // The device tells its callback when it is polled.
    context.device().poll(wgpu::PollType::Poll)?;
    let mut encoder = context.device().create_command_encoder(&Default::default());
    expect(forward.record(&mut encoder), "recording", is_lost)?;
    expect(step.bind_forward(&step.forward()), "binding", is_lost)?;
    let uploaded = Tensor::upload(&context, step.setup.shape, &vec![0.0; step.setup.shape.elements()]);
    expect(uploaded, "upload", |e| matches!(e, UploadError::Device(DeviceError::Lost { .. })))?;
    expect(step.y.download_blocking(), "download", |e| matches!(e, DeviceError::Lost { .. }))?;

    // On a device of the caller's, its callback tells the context; without it an upload notices.
    let context = Context::new_blocking()?;
    let callers = Context::from_device(context.device(), context.queue());
    let step = super::step(&callers)?;
    context.device().destroy();
    let uploaded = Tensor::upload(&callers, step.setup.shape, &vec![0.0; step.setup.shape.elements()]);
    expect(uploaded, "upload", |e| matches!(e, UploadError::Device(DeviceError::Lost { .. })))?;
    callers.mark_lost("the caller's callback says so");
    expect(step.bind_forward(&step.forward()), "binding", is_lost)
}

/// Set in the process that is allowed little memory.
const POOR: &str = "BATCH_NORM_TEST_WITH_LITTLE_MEMORY";

/// A software driver allocates until the process is killed, so this runs in a process of its own that
/// may map 4 GiB, where the driver is told by the system that there is no more.
pub(super) fn out_of_memory(context: &Context) -> Result<(), Failed> {
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

pub(super) fn a_buffer_beyond_the_limit(context: &Context) -> Result<(), Failed> {
    let max = context.device().limits().max_buffer_size;
    let elements = usize::try_from(max / 4 + 1)?;
    let shape = Shape::new(&[1, 1, elements], Layout::ChannelsFirst)?;
    expect(Tensor::zeros(context, shape), "a huge tensor", |e| {
        matches!(e, DeviceError::BufferTooLarge { .. })
    })?;
    device_still_works(context)
}
