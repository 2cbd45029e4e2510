//! Masks: what they hide has no influence, whatever it is; and masks that show next to nothing.

use crate::Test;
use crate::subject::{
    ACTIVATIONS, Arena, Buffers, DTYPES, LAYOUTS, Results, SIZES, Setup, bits, device_still_works, expect,
    positions, shape,
};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    Activation, BatchNormError, Context, Layout, Mask, MaskError, Mode, Order, RunningValues, Source,
};

pub(crate) const TESTS: &[Test] = &[
    ("every_size_and_layout", every_size_and_layout),
    ("what_is_hidden_has_no_influence", what_is_hidden_has_no_influence),
    ("lengths_are_the_same_as_values", lengths_are_the_same_as_values),
    ("any_value_but_zero_shows", any_value_but_zero_shows),
    ("nothing_shown_gives_zeros", nothing_shown_gives_zeros),
    ("one_position_shown_is_skipped", one_position_shown_is_skipped),
    ("masks_that_cannot_be_made", masks_that_cannot_be_made),
    ("masks_that_do_not_fit", masks_that_do_not_fit),
];

fn every_size_and_layout(context: &Context) -> Result<(), Failed> {
    for sizes in SIZES {
        for layout in LAYOUTS {
            for share in [0.0, 0.5] {
                Setup::new(shape(sizes, layout), 3.0, 2.0).with_mask(share).check(context)?;
            }
        }
    }
    Ok(())
}

/// The same with a value at all that the mask hides, in x, dy and the residual.
fn with_hidden(setup: &Setup, value: f32) -> Setup {
    let mut setup = setup.clone();
    for c in 0..setup.shape.channels() {
        for (i, position) in positions(setup.shape, c, 0..setup.shape.samples()) {
            if !setup.is_shown(position) {
                (setup.x[i], setup.dy[i]) = (value, value);
                setup.residual.iter_mut().for_each(|residual| residual[i] = value);
            }
        }
    }
    setup.rounded()
}

fn what_is_hidden_has_no_influence(context: &Context) -> Result<(), Failed> {
    let orders =
        [(Activation::None, Order::Post), (Activation::Relu, Order::Post), (Activation::Silu, Order::Pre)];
    for dtype in DTYPES {
        for layout in LAYOUTS {
            for (activation, order) in orders {
                for ghost in [None, Some(2)] {
                    let mut setup = Setup::new(shape(&[5, 6, 7, 3], layout), 0.5, 1.5)
                        .with_dtype(dtype)
                        .with_activation(activation, order)
                        .with_residual();
                    setup.options.ghost_batch = ghost;
                    let setup = with_hidden(&setup.with_mask(0.5), 0.0);
                    setup.check(context)?;
                    let expected = setup.run(context)?;
                    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -3e38] {
                        let results = with_hidden(&setup, value).run(context)?;
                        results.same_bits(&expected).map_err(|error| {
                            format!("{value} hidden, {dtype:?} {layout:?} {activation:?} {ghost:?}: {error}")
                        })?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn lengths_are_the_same_as_values(context: &Context) -> Result<(), Failed> {
    let lengths = [5usize, 0, 9, 1];
    for layout in LAYOUTS {
        let mut setup = Setup::new(shape(&[4, 3, 9], layout), 1.0, 1.0);
        setup.mask = Some(lengths.iter().flat_map(|&length| (0..9).map(move |s| s < length)).collect());
        setup.check(context)?;
        let expected = setup.run(context)?;
        let mut buffers = Buffers::new(context, &setup)?;
        let mask = Mask::from_lengths(context, &setup.shape, &lengths)?;
        assert_eq!(mask.shown(), Some(15));
        buffers.mask = Some(mask);
        buffers.submit(context)?;
        buffers.results(context)?.same_bits(&expected)?;
    }
    Ok(())
}

/// Buffers whose mask is made of these words, and only the device knows what it shows.
fn on_device(context: &Context, setup: &Setup, words: &[u32]) -> Result<Buffers, Failed> {
    let mut arena = Arena::new(context, 4 * words.len() as u64);
    let mut buffers = Buffers::new(context, setup)?;
    let mask = Mask::on_device(arena.filled(words));
    assert_eq!(mask.shown(), None);
    buffers.mask = Some(mask);
    Ok(buffers)
}

fn any_value_but_zero_shows(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for dtype in DTYPES {
            let setup = Setup::new(shape(&[3, 5, 7], layout), 1.0, 1.0).with_dtype(dtype).with_mask(0.5);
            let shown = setup.mask.clone().unwrap_or_default();
            let values = [1, 2, 0x8000_0000, 0xffff_ffff, 0x3f80_0000];
            let words =
                shown.iter().zip(values.iter().cycle()).map(|(&shown, &value)| if shown { value } else { 0 });
            let buffers = on_device(context, &setup, &words.collect::<Vec<u32>>())?;
            buffers.submit(context)?;
            buffers.results(context)?.same_bits(&setup.run(context)?)?;
        }
    }
    Ok(())
}

/// Fails unless the batch was left out of the running statistics `groups` times, bit for bit.
fn expect_skipped(setup: &Setup, results: &Results, groups: u32) -> Result<(), Failed> {
    let skipped = setup.running.num_batches_skipped + groups;
    let expected = RunningValues { num_batches_skipped: skipped, ..setup.running.clone() };
    match &results.running {
        Some(running) if *running == expected => Ok(()),
        running => Err(format!("running statistics are {running:?}, expected {expected:?}").into()),
    }
}

fn nothing_shown_gives_zeros(context: &Context) -> Result<(), Failed> {
    for dtype in DTYPES {
        for layout in LAYOUTS {
            for source in [Source::Batch, Source::Running, Source::Given] {
                for activation in ACTIVATIONS {
                    let mut setup = Setup::new(shape(&[3, 5, 7], layout), 1.0, 1.0)
                        .with_dtype(dtype)
                        .with_activation(activation, Order::Post)
                        .with_residual();
                    setup.mode = Mode { source, update: true };
                    let buffers = on_device(context, &setup, &[0; 21])?;
                    buffers.submit(context)?;
                    let results = buffers.results(context)?;
                    let dresidual = results.dresidual.clone().unwrap_or_default();
                    let dgiven = results.dgiven.clone().unwrap_or_default();
                    for (what, values) in [
                        ("y", &results.y),
                        ("dx", &results.dx),
                        ("dresidual", &dresidual),
                        ("dweight", &results.dweight),
                        ("dbias", &results.dbias),
                        ("dmean", &dgiven[0]),
                        ("dvariance", &dgiven[1]),
                    ] {
                        if values.iter().any(|&value| value != 0.0) {
                            return Err(
                                format!("{dtype:?} {layout:?} {source:?}: {what} is {values:?}").into()
                            );
                        }
                    }
                    expect_skipped(&setup, &results, 1)?;
                }
            }
        }
    }
    Ok(())
}

fn one_position_shown_is_skipped(context: &Context) -> Result<(), Failed> {
    for dtype in DTYPES {
        for layout in LAYOUTS {
            for guarded in [false, true] {
                let mut setup = Setup::new(shape(&[3, 5, 7], layout), 1.0, 1.0).with_dtype(dtype);
                setup.options.guarded = guarded;
                let mut words = [0; 21];
                words[9] = 1;
                let buffers = on_device(context, &setup, &words)?;
                buffers.submit(context)?;
                let results = buffers.results(context)?;
                expect_skipped(&setup, &results, 1)?;
                // x̂ is 0 there, so y is exactly β, rounded as the tensor is.
                let bias = crate::subject::rounded(dtype, &setup.bias);
                for (c, bias) in bias.iter().enumerate() {
                    for (i, position) in positions(setup.shape, c, 0..3) {
                        let expected = if position == 9 { *bias } else { 0.0 };
                        if (results.y[i], results.dx[i]) != (expected, 0.0) {
                            return Err(
                                format!("y {} dx {} at {position}", results.y[i], results.dx[i]).into()
                            );
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

fn masks_that_cannot_be_made(context: &Context) -> Result<(), Failed> {
    let shape = shape(&[3, 5, 7], Layout::ChannelsLast);
    for actual in [0, 20, 22, 105] {
        expect(Mask::upload(context, &shape, &vec![true; actual]), "positions", |e| {
            *e == MaskError::Positions { actual, expected: 21, shape }
        })?;
    }
    expect(Mask::upload(context, &shape, &[false; 21]), "nothing", |e| {
        *e == MaskError::Empty { positions: 21 }
    })?;
    expect(Mask::from_lengths(context, &shape, &[0; 3]), "nothing", |e| {
        *e == MaskError::Empty { positions: 21 }
    })?;
    for actual in [2usize, 4] {
        expect(Mask::from_lengths(context, &shape, &vec![1; actual]), "lengths", |e| {
            *e == MaskError::Lengths { actual, expected: 3, shape }
        })?;
    }
    expect(Mask::from_lengths(context, &shape, &[7, 8, 9]), "a length", |e| {
        *e == MaskError::Length { sample: 1, actual: 8, expected: 7, shape }
    })?;
    device_still_works(context)
}

fn masks_that_do_not_fit(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[3, 5, 7], Layout::ChannelsFirst), 1.0, 1.0);
    let mut buffers = Buffers::new(context, &setup)?;
    // As many positions, but others.
    let other = shape(&[7, 5, 3], Layout::ChannelsFirst);
    buffers.mask = Some(Mask::upload(context, &other, &[true; 21])?);
    let is_other =
        |e: &BatchNormError| *e == MaskError::Shape { samples: 7, spatial: 3, expected: setup.shape }.into();
    expect(buffers.bind_forward(&buffers.forward()), "another shape", is_other)?;
    expect(buffers.bind_backward(&buffers.backward()), "another shape", is_other)?;

    let mut one = [false; 21];
    one[4] = true;
    buffers.mask = Some(Mask::upload(context, &setup.shape, &one)?);
    expect(buffers.bind_forward(&buffers.forward()), "one position", |e| {
        *e == BatchNormError::Mask(MaskError::OnePosition)
    })?;
    let short = Arena::new(context, 80).filled(&[1u32; 20]);
    buffers.mask = Some(Mask::on_device(short));
    expect(buffers.bind_forward(&buffers.forward()), "a short mask", |e| {
        matches!(
            e,
            BatchNormError::Tensor(wgpu_batchnorm::TensorError::TooSmall {
                tensor: "mask",
                actual: 80,
                expected: 84
            })
        )
    })?;
    buffers.expect_untouched(context)?;

    // One position is fine where no variance is taken.
    buffers.mask = Some(Mask::upload(context, &setup.shape, &one)?);
    buffers.setup.mode = Mode::EVALUATION;
    buffers.setup.mask = Some(one.to_vec());
    buffers.submit(context)?;
    buffers.setup.compare(&buffers.results(context)?)?;
    assert_eq!(bits(&buffers.setup.running.mean), bits(&setup.running.mean));
    device_still_works(context)
}
