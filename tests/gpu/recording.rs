//! The recording path: in place, several tensors in one buffer, tensors beyond a binding, grids beyond
//! 65,535 workgroups, passes of the caller's, and bindings that are made once.

use crate::Test;
use crate::subject::{Results, Setup, download, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::{
    BufferDescriptor, BufferUsages, DeviceDescriptor, Instance, InstanceDescriptor, Limits,
};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BufferRange, Context, ForwardTensors, Layout, Mode,
    RunningStatistics, SavedStatistics, Shape, Tensor,
};

pub(crate) const TESTS: &[Test] = &[
    ("all_tensors_in_one_buffer_and_in_place", all_tensors_in_one_buffer_and_in_place),
    ("tensors_larger_than_a_binding", tensors_larger_than_a_binding),
    ("grids_beyond_65535_workgroups", grids_beyond_65535_workgroups),
    ("into_an_encoder_or_a_pass", into_an_encoder_or_a_pass),
    ("bindings_are_made_once", bindings_are_made_once),
    ("two_sizes_share_the_workspace", two_sizes_share_the_workspace),
];

/// One buffer with a range for each tensor, at the least alignment there is.
struct Arena<'c> {
    context: &'c Context,
    buffer: wgpu_batchnorm::wgpu::Buffer,
    used: u64,
}

impl<'c> Arena<'c> {
    fn new(context: &'c Context, bytes: u64) -> Self {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let descriptor = BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
        Self { context, buffer: context.device().create_buffer(&descriptor), used: 0 }
    }

    fn bytes(&mut self, bytes: u64) -> BufferRange {
        let alignment = u64::from(self.context.traits().min_storage_buffer_offset_alignment);
        let start = self.used.next_multiple_of(alignment);
        self.used = start + bytes;
        BufferRange::new(&self.buffer, start..self.used)
    }

    fn values(&mut self, values: &[f32]) -> BufferRange {
        let range = self.bytes(4 * values.len() as u64);
        self.context.queue().write_buffer(&self.buffer, range.offset, bytemuck::cast_slice(values));
        range
    }
}

fn all_tensors_in_one_buffer_and_in_place(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for sizes in [&[4usize, 12, 9, 7][..], &[7, 33]] {
            for in_place in [false, true] {
                let setup = Setup::new(shape(sizes, layout), 1.0, 2.0);
                let expected = setup.run(context)?;
                let batch_norm = BatchNorm::new(context, setup.options)?;
                let channels = setup.shape.channels();
                let mut arena = Arena::new(context, 1 << 20);
                let x = arena.values(&setup.x);
                let dy = arena.values(&setup.dy);
                // The backward pass still needs x, so in place the forward pass has a copy of it.
                let input = if in_place { arena.values(&setup.x) } else { x.clone() };
                let empty = vec![f32::NAN; setup.shape.elements()];
                let y = if in_place { input.clone() } else { arena.values(&empty) };
                let dx = if in_place { dy.clone() } else { arena.values(&empty) };
                let weight = arena.values(&setup.weight);
                let bias = arena.values(&setup.bias);
                let running = RunningStatistics {
                    mean: arena.values(&setup.running.mean),
                    var: arena.values(&setup.running.var),
                    num_batches_tracked: arena.bytes(4 * channels as u64),
                };
                let saved =
                    SavedStatistics::in_range(arena.bytes(SavedStatistics::bytes(channels)), channels);
                let dweight = arena.bytes(4 * channels as u64);
                let dbias = arena.bytes(4 * channels as u64);
                let workspace = Some(arena.bytes(batch_norm.workspace_bytes(&setup.shape)?));
                let forward = ForwardTensors {
                    x: input,
                    y: y.clone(),
                    weight: Some(weight.clone()),
                    bias: Some(bias),
                    running: Some(&running),
                    saved: &saved,
                    workspace: workspace.clone(),
                };
                let backward = BackwardTensors {
                    x,
                    dy,
                    weight: Some(weight),
                    saved: &saved,
                    dx: Some(dx.clone()),
                    dweight: Some((dweight.clone(), Accumulation::Replace)),
                    dbias: Some((dbias.clone(), Accumulation::Replace)),
                    workspace,
                };
                let mut encoder = context.device().create_command_encoder(&Default::default());
                batch_norm.record_forward(&mut encoder, &setup.shape, Mode::TRAINING, &forward)?;
                batch_norm.record_backward(&mut encoder, &setup.shape, Mode::TRAINING, &backward)?;
                context.queue().submit([encoder.finish()]);
                let got = [&y, &dx, &dweight, &dbias, &running.mean].map(|range| download(context, range));
                let expected_mean = expected.running.map(|running| running.mean).unwrap_or_default();
                let expected = [expected.y, expected.dx, expected.dweight, expected.dbias, expected_mean];
                for (i, (got, expected)) in got.into_iter().zip(expected).enumerate() {
                    if got? != expected {
                        return Err(format!("{} in place {in_place}: tensor {i} differs", setup.shape).into());
                    }
                }
            }
        }
    }
    Ok(())
}

/// A context whose device has these limits.
fn with_limits(limits: Limits) -> Result<Context, Failed> {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let descriptor = DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
    Ok(Context::from_device(&device, &queue))
}

/// A device that can bind 64 KiB: pieces of the batch, of a sample, and of a row.
fn tensors_larger_than_a_binding(_: &Context) -> Result<(), Failed> {
    let limits =
        Limits { max_storage_buffer_binding_size: 64 << 10, max_buffer_size: 16 << 20, ..Limits::defaults() };
    let context = with_limits(limits)?;
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for sizes in
            [&[50usize, 6, 33, 10][..], &[3, 20, 31, 33], &[2, 3, 40_001], &[2, 3, 40_004], &[30_000, 3]]
        {
            let setup = Setup::new(shape(sizes, layout), 10.0, 1.0);
            let forward = wgpu_batchnorm::Operation::Forward { mode: Mode::TRAINING, in_place: false };
            let plan = BatchNorm::new(&context, setup.options)?.plan(&setup.shape, forward)?;
            if plan.dispatches().len() <= 4 {
                return Err(format!("{} fits one binding: the test tests nothing", setup.shape).into());
            }
            setup.check(&context)?;
        }
    }
    Ok(())
}

fn grids_beyond_65535_workgroups(context: &Context) -> Result<(), Failed> {
    for (sizes, layout) in [
        (&[2usize, 70_000][..], Layout::ChannelsFirst),
        (&[70_000, 1], Layout::ChannelsFirst),
        (&[2, 70_000, 40], Layout::ChannelsFirst),
        (&[2, 70_000, 3], Layout::ChannelsFirst),
        (&[70_000, 3, 5], Layout::ChannelsLast),
        (&[70_000, 3, 5], Layout::ChannelsFirst),
    ] {
        Setup::new(shape(sizes, layout), -1.0, 1.0).check(context)?;
    }
    // The same with a grid so narrow that its second dimension is used by small shapes too.
    let limits = Limits { max_compute_workgroups_per_dimension: 7, ..Limits::defaults() };
    let context = with_limits(limits)?;
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        Setup::new(shape(&[3, 37, 11, 5], layout), -1.0, 1.0).check(&context)?;
    }
    Ok(())
}

/// Buffers of one step, for the tests that record in several ways.
struct Step {
    setup: Setup,
    batch_norm: BatchNorm,
    tensors: [Tensor; 4],
    vectors: [Tensor; 4],
    running: RunningStatistics,
    saved: SavedStatistics,
}

impl Step {
    fn new(context: &Context, setup: Setup) -> Result<Self, Failed> {
        let channels = setup.shape.channels();
        let vector = Shape::new(&[1, channels], Layout::ChannelsLast)?;
        let zeros = |shape| Tensor::zeros(context, shape);
        let upload = |shape, values: &[f32]| Tensor::upload(context, shape, values);
        Ok(Self {
            batch_norm: BatchNorm::new(context, setup.options)?,
            tensors: [
                upload(setup.shape, &setup.x)?,
                zeros(setup.shape)?,
                upload(setup.shape, &setup.dy)?,
                zeros(setup.shape)?,
            ],
            vectors: [
                upload(vector, &setup.weight)?,
                upload(vector, &setup.bias)?,
                zeros(vector)?,
                zeros(vector)?,
            ],
            running: RunningStatistics::upload(context, &setup.running)?,
            saved: SavedStatistics::new(context, channels)?,
            setup,
        })
    }

    fn forward(&self) -> ForwardTensors<'_> {
        let [x, y, ..] = self.tensors.each_ref().map(|tensor| tensor.range().clone());
        let [weight, bias, ..] = self.vectors.each_ref().map(|tensor| tensor.range().clone());
        let (running, saved) = (Some(&self.running), &self.saved);
        ForwardTensors { x, y, weight: Some(weight), bias: Some(bias), running, saved, workspace: None }
    }

    fn backward(&self) -> BackwardTensors<'_> {
        let [x, _, dy, dx] = self.tensors.each_ref().map(|tensor| tensor.range().clone());
        let [weight, _, dweight, dbias] = self.vectors.each_ref().map(|tensor| tensor.range().clone());
        BackwardTensors {
            x,
            dy,
            weight: Some(weight),
            saved: &self.saved,
            dx: Some(dx),
            dweight: Some((dweight, Accumulation::Replace)),
            dbias: Some((dbias, Accumulation::Replace)),
            workspace: None,
        }
    }

    fn check(&self, expected: &Results) -> Result<(), Failed> {
        let [_, y, _, dx] = &self.tensors;
        if y.download_blocking()? != expected.y || dx.download_blocking()? != expected.dx {
            return Err(format!("{} differs", self.setup.shape).into());
        }
        Ok(())
    }
}

fn into_an_encoder_or_a_pass(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 10, 8, 8], Layout::ChannelsFirst), 0.0, 1.0);
    let expected = setup.run(context)?;
    let step = Step::new(context, setup)?;
    let forward = step.batch_norm.bind_forward(&step.setup.shape, Mode::TRAINING, &step.forward())?;
    let backward = step.batch_norm.bind_backward(&step.setup.shape, Mode::TRAINING, &step.backward())?;
    let mut encoder = context.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        forward.record(&mut pass)?;
        backward.record(&mut pass)?;
    }
    context.queue().submit([encoder.finish()]);
    step.check(&expected)?;
    // Step by step, each in a pass of its own.
    let mut encoder = context.device().create_command_encoder(&Default::default());
    for each in wgpu_batchnorm::Step::ALL {
        forward.record_step(&mut encoder, each)?;
        backward.record_step(&mut encoder, each)?;
    }
    context.queue().submit([encoder.finish()]);
    step.check(&expected)
}

/// An epoch of several batches and a shorter last one, twice: after the first, nothing new is made.
fn bindings_are_made_once(_: &Context) -> Result<(), Failed> {
    // A device of its own, since its objects are counted.
    let context = with_limits(Limits::defaults())?;
    let sizes = [[6usize, 5, 4, 4], [2, 5, 4, 4]];
    let steps =
        sizes.map(|sizes| Step::new(&context, Setup::new(shape(&sizes, Layout::ChannelsFirst), 0.0, 1.0)));
    let [full, last] = steps;
    let (full, last) = (full?, last?);
    let batch_norm = &full.batch_norm;
    let epoch = || -> Result<(), Failed> {
        for step in [&full, &full, &full, &last] {
            let mut encoder = context.device().create_command_encoder(&Default::default());
            batch_norm.record_forward(&mut encoder, &step.setup.shape, Mode::TRAINING, &step.forward())?;
            batch_norm.record_backward(&mut encoder, &step.setup.shape, Mode::TRAINING, &step.backward())?;
            context.queue().submit([encoder.finish()]);
            context.device().poll(wgpu_batchnorm::wgpu::PollType::wait_indefinitely())?;
        }
        Ok(())
    };
    epoch()?;
    let counted = || {
        let counters = context.device().get_internal_counters().hal;
        [counters.buffers, counters.bind_groups, counters.compute_pipelines, counters.shader_modules]
            .map(|counter| counter.read())
    };
    let before = counted();
    for _ in 0..3 {
        epoch()?;
    }
    let after = counted();
    if before[1] == 0 {
        return Err("nothing is counted: the test tests nothing".into());
    }
    if before == after { Ok(()) } else { Err(format!("objects grew from {before:?} to {after:?}").into()) }
}

fn two_sizes_share_the_workspace(context: &Context) -> Result<(), Failed> {
    let small = Setup::new(shape(&[2, 3, 5], Layout::ChannelsFirst), 0.0, 1.0);
    let large = Setup::new(shape(&[40, 70, 9, 9], Layout::ChannelsLast), 0.0, 1.0);
    let (expected_small, expected_large) = (small.run(context)?, large.run(context)?);
    let (small, large) = (Step::new(context, small)?, Step::new(context, large)?);
    let mut encoder = context.device().create_command_encoder(&Default::default());
    for step in [&small, &large] {
        step.batch_norm.record_forward(&mut encoder, &step.setup.shape, Mode::TRAINING, &step.forward())?;
    }
    for step in [&large, &small] {
        step.batch_norm.record_backward(&mut encoder, &step.setup.shape, Mode::TRAINING, &step.backward())?;
    }
    context.queue().submit([encoder.finish()]);
    small.check(&expected_small)?;
    large.check(&expected_large)
}
