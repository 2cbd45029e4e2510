//! Replicas: together they compute what one device would on the whole batch, bit for bit the same among them.

mod refused;
mod replicas;
mod transport;

use crate::Test;
use crate::subject::{Arena, Buffers, DTYPES, LAYOUTS, Setup, shape};
use libtest_mimic::Failed;
use replicas::{ends, run, try_without_samples};
use std::time::Duration;
use transport::Tampered;
use wgpu_batchnorm::{
    Activation, Context, Dtype, InProcess, Layout, Mask, Momentum, Options, Order, Synchronized,
};

pub(crate) const TESTS: &[Test] = &[
    ("replicas_compute_the_whole_batch", replicas_compute_the_whole_batch),
    ("any_dtype_activation_and_residual", any_dtype_activation_and_residual),
    ("a_replica_with_a_single_value", a_replica_with_a_single_value),
    ("masks_are_each_replicas_own", masks_are_each_replicas_own),
    ("a_mask_that_shows_a_single_position", a_mask_that_shows_a_single_position),
    ("all_replicas_go_on_or_none", all_replicas_go_on_or_none),
    ("messages_are_as_long_as_documented", messages_are_as_long_as_documented),
    ("replicas_that_disagree", refused::replicas_that_disagree),
    ("replicas_out_of_step_are_told", refused::replicas_out_of_step_are_told),
    ("too_few_values_in_all", refused::too_few_values_in_all),
    ("a_replica_that_does_not_come", refused::a_replica_that_does_not_come),
    ("a_replica_that_leaves", refused::a_replica_that_leaves),
    ("messages_of_something_else", refused::messages_of_something_else),
    ("messages_of_too_many_or_too_few", refused::messages_of_too_many_or_too_few),
    ("what_no_pass_can_do", refused::what_no_pass_can_do),
    ("passes_do_not_disturb_each_other", refused::passes_do_not_disturb_each_other),
];

/// No thread waits longer than this for the others: a test that hangs would tell nothing.
const LIMIT: Duration = Duration::from_secs(120);

/// Two devices that the replicas take in turns.
fn devices(context: &Context) -> Result<[Context; 2], Failed> {
    let name = &context.device().adapter_info().name;
    Ok([context.clone(), pollster::block_on(Context::with_adapter_named(name))?])
}

fn replicas_compute_the_whole_batch(context: &Context) -> Result<(), Failed> {
    let devices = devices(context)?;
    for parts in [&[7usize][..], &[3, 4], &[1, 6], &[2, 0, 5], &[0, 7], &[4, 2, 1], &[0, 0, 7]] {
        for layout in LAYOUTS {
            for momentum in [Momentum::MovingAverage(0.1), Momentum::Cumulative] {
                for mean in [0.5, -1e4] {
                    let mut setup = Setup::new(shape(&[7, 5, 9, 3], layout), mean, 1.5);
                    setup.options.momentum = momentum;
                    run(&devices, &setup, parts)?;
                }
            }
            let mut setup = Setup::new(shape(&[7, 66], layout), 2.0, 1.5);
            setup.options =
                Options { weight: false, bias: false, running_statistics: false, ..setup.options };
            run(&devices, &setup, parts)?;
        }
    }
    Ok(())
}

fn any_dtype_activation_and_residual(context: &Context) -> Result<(), Failed> {
    let devices = devices(context)?;
    for dtype in DTYPES {
        for layout in LAYOUTS {
            for (activation, order) in [
                (Activation::Relu, Order::Post),
                (Activation::Gelu, Order::Post),
                (Activation::Tanh, Order::Pre),
            ] {
                let setup = Setup::new(shape(&[7, 5, 3, 5], layout), 0.5, 1.5)
                    .with_dtype(dtype)
                    .with_activation(activation, order)
                    .with_residual();
                run(&devices, &setup, &[2, 4, 1])?;
                run(&devices, &setup, &[5, 0, 2])?;
            }
        }
    }
    Ok(())
}

/// [N, C] with one sample here and there: too few alone, enough together.
fn a_replica_with_a_single_value(context: &Context) -> Result<(), Failed> {
    let devices = devices(context)?;
    for parts in [&[1usize, 1][..], &[1, 2], &[1, 0, 1], &[3, 1, 1]] {
        let samples = parts.iter().sum();
        let setup = Setup::new(shape(&[samples, 5], Layout::ChannelsFirst), 0.5, 1.5);
        run(&devices, &setup, parts)?;
    }
    Ok(())
}

/// Also beside a replica without samples.
fn masks_are_each_replicas_own(context: &Context) -> Result<(), Failed> {
    let devices = devices(context)?;
    for layout in LAYOUTS {
        let setup = Setup::new(shape(&[6, 5, 7], layout), 0.5, 1.5).with_mask(0.5);
        run(&devices, &setup, &[2, 4])?;
        run(&devices, &setup, &[2, 0, 4])?;
    }
    Ok(())
}

/// As with a single value without a mask: too few alone, enough together.
fn a_mask_that_shows_a_single_position(context: &Context) -> Result<(), Failed> {
    let devices = devices(context)?;
    let mut setup = Setup::new(shape(&[6, 5, 7], Layout::ChannelsFirst), 0.5, 1.5).with_mask(0.5);
    setup.mask.iter_mut().for_each(|mask| mask[..7].fill(false));
    setup.mask.iter_mut().for_each(|mask| mask[3] = true);
    run(&devices, &setup, &[1, 5])
}

/// The masks of a device may show nothing at all: then all replicas go on, or none, whatever each of them knows.
fn all_replicas_go_on_or_none(context: &Context) -> Result<(), Failed> {
    let devices = devices(context)?;
    let setup = Setup::new(shape(&[1, 5, 1], Layout::ChannelsFirst), 0.5, 1.5);
    let mut hidden = Buffers::new(&devices[0], &setup)?;
    hidden.mask = Some(Mask::on_device(Arena::new(&devices[0], 4).filled(&[0u32])));
    let [first, second] = ends();
    let (masked, without) = std::thread::scope(|scope| {
        let masked = scope.spawn(|| {
            let synchronized = Synchronized::new(&hidden.batch_norm, first);
            pollster::block_on(synchronized.submit_forward(&setup.shape, &hidden.forward()))
        });
        let without = scope.spawn(|| try_without_samples(&devices[1], second));
        (masked.join(), without.join())
    });
    let masked = masked.map_err(|_| "a panic")?;
    let without = without.map_err(|_| "a panic")??;
    if masked.is_ok() == without.is_ok() {
        return Ok(());
    }
    Err(format!("one replica: {masked:?}, the other: {without:?}").into())
}

fn messages_are_as_long_as_documented(context: &Context) -> Result<(), Failed> {
    for (channels, dtype) in [(1, Dtype::F32), (5, Dtype::F16), (130, Dtype::F32)] {
        let setup = Setup::new(shape(&[4, channels, 6], Layout::ChannelsFirst), 0.5, 1.5).with_dtype(dtype);
        let buffers = Buffers::new(context, &setup)?;
        let end = InProcess::group(1).pop().ok_or("an end")?;
        let synchronized = Synchronized::new(&buffers.batch_norm, Tampered::counting(end));
        pollster::block_on(synchronized.submit_forward(&setup.shape, &buffers.forward()))?;
        pollster::block_on(synchronized.submit_backward(&setup.shape, &buffers.backward()))?;
        assert_eq!(synchronized.exchange().lengths(), [36 + 20 * channels, 36 + 16 * channels]);
        setup.compare(&buffers.results(context)?)?;
    }
    Ok(())
}
