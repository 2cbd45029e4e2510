//! The recording path: in place, several tensors in one buffer, tensors beyond a binding, grids beyond
//! 65,535 workgroups, passes of the caller's, and bindings that are made once.

use crate::Test;
use crate::subject::{Arena, Buffers, Results, Setup, download, shape, submit, with_limits};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::Limits;
use wgpu_batchnorm::{
    Accumulation, Activation, BackwardTensors, BatchNorm, BatchNormError, Context, ForwardTensors, Layout,
    Mode, Order, RunningStatistics, SavedStatistics, Source,
};

pub(crate) const TESTS: &[Test] = &[
    ("all_tensors_in_one_buffer_and_in_place", all_tensors_in_one_buffer_and_in_place),
    ("tensors_larger_than_a_binding", tensors_larger_than_a_binding),
    ("grids_beyond_65535_workgroups", grids_beyond_65535_workgroups),
    ("into_an_encoder_or_a_pass", into_an_encoder_or_a_pass),
    ("bindings_are_made_once", bindings_are_made_once),
    ("other_tensors_are_bound_anew", other_tensors_are_bound_anew),
    ("two_sizes_share_the_workspace", two_sizes_share_the_workspace),
    ("statistics_may_be_moved_between_the_passes", statistics_may_be_moved_between_the_passes),
];

fn all_tensors_in_one_buffer_and_in_place(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for sizes in [&[4usize, 12, 9, 7][..], &[7, 33]] {
            for in_place in [false, true] {
                let setup = Setup::new(shape(sizes, layout), 1.0, 2.0);
                let expected = setup.run(context)?;
                let batch_norm = BatchNorm::new(context, setup.options)?;
                let channels = setup.shape.channels();
                let mut arena = Arena::new(context, 1 << 20);
                let x = arena.filled(&setup.x);
                let dy = arena.filled(&setup.dy);
                // The backward pass still needs x, so in place the forward pass has a copy of it.
                let input = if in_place { arena.filled(&setup.x) } else { x.clone() };
                let empty = vec![f32::NAN; setup.shape.elements()];
                let y = if in_place { input.clone() } else { arena.filled(&empty) };
                let dx = if in_place { dy.clone() } else { arena.filled(&empty) };
                let weight = arena.filled(&setup.weight);
                let bias = arena.filled(&setup.bias);
                let running = RunningStatistics {
                    mean: arena.filled(&setup.running.mean),
                    var: arena.filled(&setup.running.var),
                    num_batches_tracked: arena.bytes(4 * channels as u64),
                    num_batches_skipped: arena.bytes(4 * channels as u64),
                };
                let saved =
                    SavedStatistics::in_range(arena.bytes(SavedStatistics::bytes(channels)), channels);
                let dweight = arena.bytes(4 * channels as u64);
                let dbias = arena.bytes(4 * channels as u64);
                let workspace = Some(arena.bytes(batch_norm.workspace_bytes(&setup.shape)?));
                let forward = ForwardTensors {
                    weight: Some(weight),
                    bias: Some(bias),
                    running: Some(&running),
                    workspace: workspace.clone(),
                    ..ForwardTensors::new(input, y.clone(), &saved)
                };
                let backward = BackwardTensors {
                    dx: Some(dx.clone()),
                    dweight: Some((dweight.clone(), Accumulation::Replace)),
                    dbias: Some((dbias.clone(), Accumulation::Replace)),
                    workspace,
                    ..BackwardTensors::new(x, dy, &saved)
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
            let forward = wgpu_batchnorm::Operation::Forward { pass: Mode::TRAINING.into(), in_place: false };
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

/// Fails unless y and dx are the expected ones.
fn check(step: &Buffers, expected: &Results) -> Result<(), Failed> {
    if step.y.download_blocking()? != expected.y || step.dx.download_blocking()? != expected.dx {
        return Err(format!("{} differs", step.setup.shape).into());
    }
    Ok(())
}

fn into_an_encoder_or_a_pass(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 10, 8, 8], Layout::ChannelsFirst), 0.0, 1.0);
    let expected = setup.run(context)?;
    let step = Buffers::new(context, &setup)?;
    let forward = step.batch_norm.bind_forward(&step.setup.shape, Mode::TRAINING, &step.forward())?;
    let backward = step.batch_norm.bind_backward(&step.setup.shape, Mode::TRAINING, &step.backward())?;
    let mut encoder = context.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        forward.record(&mut pass)?;
        backward.record(&mut pass)?;
    }
    context.queue().submit([encoder.finish()]);
    check(&step, &expected)?;
    // Step by step, each in a pass of its own.
    let mut encoder = context.device().create_command_encoder(&Default::default());
    for each in wgpu_batchnorm::Step::ALL {
        forward.record_step(&mut encoder, each)?;
        backward.record_step(&mut encoder, each)?;
    }
    context.queue().submit([encoder.finish()]);
    check(&step, &expected)
}

/// An epoch of several batches and a shorter last one, twice: after the first, nothing new is made.
fn bindings_are_made_once(_: &Context) -> Result<(), Failed> {
    // A device of its own, since its objects are counted.
    let context = with_limits(Limits::defaults())?;
    let sizes = [[6usize, 5, 4, 4], [2, 5, 4, 4]];
    let steps = sizes
        .map(|sizes| Buffers::new(&context, &Setup::new(shape(&sizes, Layout::ChannelsFirst), 0.0, 1.0)));
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

/// What is kept of earlier calls must not answer for a tensor that is another one in this call.
fn other_tensors_are_bound_anew(context: &Context) -> Result<(), Failed> {
    let mut setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.0, 1.0)
        .with_activation(Activation::Silu, Order::Post)
        .with_residual()
        .with_mask(0.6);
    setup.mode = Mode { source: Source::Given, update: true };
    let mut other = setup.clone();
    other.residual.iter_mut().flatten().for_each(|residual| *residual += 1.0);
    other.mask.iter_mut().flatten().for_each(|shown| *shown = !*shown);
    other.given.iter_mut().flatten().for_each(|value| *value += 0.5);
    let mut buffers = Buffers::new(context, &setup)?;
    let mut others = Buffers::new(context, &other)?;
    // One tensor after the other is exchanged, and each time y and the gradients are those of a fresh layer.
    for exchanged in 0..4 {
        let mut expected = buffers.setup.clone();
        match exchanged {
            0 => {}
            1 => {
                std::mem::swap(&mut buffers.residual, &mut others.residual);
                expected.residual.clone_from(&other.residual);
            }
            2 => {
                std::mem::swap(&mut buffers.mask, &mut others.mask);
                expected.mask.clone_from(&other.mask);
            }
            _ => {
                std::mem::swap(&mut buffers.given, &mut others.given);
                expected.given.clone_from(&other.given);
            }
        }
        buffers.running = RunningStatistics::upload(context, &setup.running)?;
        submit::<BatchNormError>(context, |encoder| {
            let (batch_norm, mode) = (&buffers.batch_norm, setup.mode);
            batch_norm.record_forward(&mut *encoder, &setup.shape, mode, &buffers.forward())?;
            batch_norm.record_backward(encoder, &setup.shape, mode, &buffers.backward())
        })?;
        buffers
            .results(context)?
            .same_bits(&expected.run(context)?)
            .map_err(|error| format!("after exchange {exchanged}: {error}"))?;
        buffers.setup = expected;
    }
    Ok(())
}

fn two_sizes_share_the_workspace(context: &Context) -> Result<(), Failed> {
    let small = Setup::new(shape(&[2, 3, 5], Layout::ChannelsFirst), 0.0, 1.0);
    let large = Setup::new(shape(&[40, 70, 9, 9], Layout::ChannelsLast), 0.0, 1.0);
    let (expected_small, expected_large) = (small.run(context)?, large.run(context)?);
    let (small, large) = (Buffers::new(context, &small)?, Buffers::new(context, &large)?);
    let mut encoder = context.device().create_command_encoder(&Default::default());
    for step in [&small, &large] {
        step.batch_norm.record_forward(&mut encoder, &step.setup.shape, Mode::TRAINING, &step.forward())?;
    }
    for step in [&large, &small] {
        step.batch_norm.record_backward(&mut encoder, &step.setup.shape, Mode::TRAINING, &step.backward())?;
    }
    context.queue().submit([encoder.finish()]);
    check(&small, &expected_small)?;
    check(&large, &expected_large)
}

/// A host that keeps what a forward pass saves in memory of its own vouches for it.
fn statistics_may_be_moved_between_the_passes(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[5, 6, 4, 3], Layout::ChannelsFirst), 1.0, 2.0);
    let expected = setup.run(context)?;
    let batch_norm = BatchNorm::new(context, setup.options)?;
    let mut arena = Arena::new(context, 1 << 20);
    let (x, dy) = (arena.filled(&setup.x), arena.filled(&setup.dy));
    let (y, dx) = (arena.filled(&vec![f32::NAN; setup.shape.elements()]), arena.filled(&setup.dy));
    let running = RunningStatistics::upload(context, &setup.running)?;
    let bytes = SavedStatistics::bytes(setup.shape.channels());
    let saved = SavedStatistics::in_range(arena.bytes(bytes), setup.shape.channels());
    let forward = ForwardTensors {
        weight: Some(arena.filled(&setup.weight)),
        bias: Some(arena.filled(&setup.bias)),
        running: Some(&running),
        ..ForwardTensors::new(x.clone(), y, &saved)
    };
    let mut encoder = context.device().create_command_encoder(&Default::default());
    batch_norm.bind_forward(&setup.shape, Mode::TRAINING, &forward)?.record(&mut encoder)?;
    let elsewhere = Arena::new(context, 1 << 16).bytes(bytes);
    let from = saved.range();
    encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &elsewhere.buffer, elsewhere.offset, bytes);

    let moved = SavedStatistics::in_range(elsewhere.clone(), setup.shape.channels());
    let backward = |saved: &SavedStatistics, encoder: &mut _| -> Result<(), BatchNormError> {
        let tensors =
            BackwardTensors { dx: Some(dx.clone()), ..BackwardTensors::new(x.clone(), dy.clone(), saved) };
        batch_norm.bind_backward(&setup.shape, Mode::TRAINING, &tensors)?.record(encoder)
    };
    match backward(&moved, &mut encoder) {
        Err(BatchNormError::NoForward { .. }) => {}
        result => return Err(format!("expected that nobody vouches for them, got {result:?}").into()),
    }
    // One of another kind is still refused.
    let other = batch_norm.recalled_statistics(elsewhere.clone(), &setup.shape, Mode::TRAINING, false, true);
    match backward(&other, &mut encoder) {
        Err(BatchNormError::OtherForward { .. }) => {}
        result => return Err(format!("expected that a mask is missed, got {result:?}").into()),
    }
    let recalled = batch_norm.recalled_statistics(elsewhere, &setup.shape, Mode::TRAINING, false, false);
    backward(&recalled, &mut encoder)?;
    context.queue().submit([encoder.finish()]);
    if download(context, &dx)? != expected.dx {
        return Err("dx differs".into());
    }
    Ok(())
}
