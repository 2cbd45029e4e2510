//! `double_backward_apply`: by the statistics of the batch and by held ones, in every element type; and what is
//! refused.

use crate::Test;
use crate::subject::{
    DTYPES, Double, LAYOUTS, Setup, device_still_works, expect, shape, submit, with_limits,
};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::Limits;
use wgpu_batchnorm::{Activation, BatchNormError, Context, Layout, Mode, Order, Source};

pub(crate) const TESTS: &[Test] = &[
    ("every_source_and_dtype", every_source_and_dtype),
    ("held_statistics_with_ghost_batches_and_a_mask", held_statistics_with_ghost_batches_and_a_mask),
    ("tensors_larger_than_a_binding", tensors_larger_than_a_binding),
    ("an_activation_is_refused", an_activation_is_refused),
    ("needs_its_forward_pass", needs_its_forward_pass),
];

fn every_source_and_dtype(context: &Context) -> Result<(), Failed> {
    for dtype in DTYPES {
        for source in [Source::Batch, Source::Running, Source::Given] {
            for layout in LAYOUTS {
                // Whole words, halves of words, rows of a single element, and loads across rows or two strips.
                for sizes in [&[4usize, 8, 6, 4][..], &[3, 5, 7, 3], &[9, 7], &[2, 3, 1001], &[3, 64, 5, 5]] {
                    let mut setup = Setup::new(shape(sizes, layout), 0.5, 1.5).with_dtype(dtype);
                    setup.mode = Mode { source, update: false };
                    Double::check(context, &setup)?;
                }
            }
        }
    }
    Ok(())
}

fn held_statistics_with_ghost_batches_and_a_mask(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let mut setup =
            Setup::new(shape(&[5, 6, 7, 3], layout), -1.0, 1.5).with_ghost_batch(2).with_mask(0.7);
        setup.mode = Mode { source: Source::Running, update: false };
        Double::check(context, &setup)?;
    }
    Ok(())
}

fn tensors_larger_than_a_binding(_: &Context) -> Result<(), Failed> {
    let limits =
        Limits { max_storage_buffer_binding_size: 64 << 10, max_buffer_size: 16 << 20, ..Limits::defaults() };
    let context = with_limits(limits)?;
    for dtype in DTYPES {
        for layout in LAYOUTS {
            let setup = Setup::new(shape(&[9, 5, 53, 31], layout), 1.0, 1.0).with_dtype(dtype);
            Double::check(&context, &setup)?;
            Double::check(&context, &setup.with_ghost_batch(4).with_mask(0.8))?;
        }
    }
    Ok(())
}

fn an_activation_is_refused(context: &Context) -> Result<(), Failed> {
    for order in [Order::Post, Order::Pre] {
        let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.0, 1.0)
            .with_activation(Activation::Silu, order);
        let double = Double::new(context, &setup)?;
        expect(double.bind(&double.tensors()), "an activation", |e| {
            *e == BatchNormError::Activation { actual: Activation::Silu }
        })?;
    }
    device_still_works(context)
}

fn needs_its_forward_pass(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.0, 1.0);
    let double = Double::new(context, &setup)?;
    let bound = double.bind(&double.tensors())?;
    let record = || submit(context, |encoder| bound.record(encoder));
    expect(record(), "no forward", |e| matches!(e, BatchNormError::NoForward { .. }))?;
    let evaluation =
        double.buffers.batch_norm.bind_forward(&setup.shape, Mode::EVALUATION, &double.buffers.forward())?;
    submit(context, |encoder| evaluation.record(encoder))?;
    expect(record(), "another source", |e| matches!(e, BatchNormError::OtherForward { .. }))?;
    if double.grad_x.download_blocking()?.iter().any(|&value| value != 77.0) {
        return Err("a refused pass wrote grad_x".into());
    }
    double.submit(context, &double.tensors())?;
    double.compare(true, true, true)
}
