//! 16-bit elements: rounding, odd lengths, and the edges of their ranges.

use crate::Test;
use crate::subject::{Arena, Buffers, LAYOUTS, Setup, bits, download, shape, submit};
use half::{bf16, f16};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    BackwardTensors, BatchNormError, BufferRange, Context, Dtype, ForwardTensors, Layout, Mode, Options,
    RunningValues, Schedule, Traversal,
};

pub(crate) const TESTS: &[Test] = &[
    ("every_number_is_read_and_written", every_number_is_read_and_written),
    ("outputs_are_rounded_to_nearest_even", outputs_are_rounded_to_nearest_even),
    ("every_length_up_to_some_words", every_length_up_to_some_words),
    ("nothing_beyond_the_last_word_is_written", nothing_beyond_the_last_word_is_written),
    ("gradients_whose_sums_are_beyond_the_range", gradients_whose_sums_are_beyond_the_range),
];

const HALVES: [Dtype; 2] = [Dtype::F16, Dtype::BF16];

fn from_bits(dtype: Dtype, bits: u16) -> f32 {
    if dtype == Dtype::F16 { f16::from_bits(bits).to_f32() } else { bf16::from_bits(bits).to_f32() }
}

fn to_bits(dtype: Dtype, value: f32) -> u16 {
    if dtype == Dtype::F16 { f16::from_f32(value).to_bits() } else { bf16::from_f32(value).to_bits() }
}

/// Evaluation of C channels in which y = x + β exactly: mean 0, variance 1, ε below half a ULP of it.
fn identity(dtype: Dtype, layout: Layout, channels: usize, spatial: usize) -> Setup {
    let mut setup = Setup::new(shape(&[1, channels, spatial], layout), 0.0, 1.0);
    setup.mode = Mode::EVALUATION;
    setup.options = Options { eps: 2e-38, weight: false, dtype, ..setup.options };
    setup.running = RunningValues::start(channels);
    setup.bias = vec![0.0; channels];
    setup
}

/// Fails unless the half has these bits; NaN any bits of a NaN.
fn expect_half(what: &str, dtype: Dtype, got: f32, expected: u16) -> Result<(), Failed> {
    let is_nan = from_bits(dtype, expected).is_nan();
    if is_nan && got.is_nan() || !is_nan && to_bits(dtype, got) == expected {
        return Ok(());
    }
    let (got, expected_value) = (to_bits(dtype, got), from_bits(dtype, expected));
    Err(format!("{dtype:?} {what}: bits {got:#06x}, expected {expected:#06x} ({expected_value:e})").into())
}

/// All 65,536, in every way a word is taken apart and put together.
fn every_number_is_read_and_written(context: &Context) -> Result<(), Failed> {
    for dtype in HALVES {
        for (layout, spatial) in [
            (Layout::ChannelsFirst, 1),
            (Layout::ChannelsFirst, 3),
            (Layout::ChannelsFirst, 2),
            (Layout::ChannelsFirst, 4),
            (Layout::ChannelsLast, 3),
        ] {
            // Odd channels, so that channels last has odd rows too.
            let channels = if layout == Layout::ChannelsLast { 65_537 } else { 65_536 };
            let setup = identity(dtype, layout, channels, spatial)
                .with_x(|c, _, _| from_bits(dtype, (c % 65_536) as u16));
            let results = setup.run(context)?;
            for c in 0..channels {
                let expected = (c % 65_536) as u16;
                // 0 + 0 is 0 whatever the signs; what is subnormal in f32 may be taken for 0.
                let value = from_bits(dtype, expected);
                if value == 0.0 || value.is_subnormal() {
                    continue;
                }
                for s in 0..spatial {
                    let got = results.y[setup.shape.index(0, c, s)];
                    expect_half(&format!("{layout:?} S={spatial}"), dtype, got, expected)?;
                }
            }
        }
    }
    Ok(())
}

/// β is any f32, x is 0: each number, the middle between it and the next one, and just beside that.
fn outputs_are_rounded_to_nearest_even(context: &Context) -> Result<(), Failed> {
    for dtype in HALVES {
        let infinity = to_bits(dtype, f32::INFINITY);
        let mut values =
            vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 65_504.0, 65_519.996, 65_520.0, -65_520.0];
        values.extend([
            f32::MAX,
            f32::MIN,
            65_536.0,
            1e30,
            2.0f32.powi(-25),
            2.0f32.powi(-24) * 1.5,
            3e-8,
            2.98e-8,
        ]);
        values.extend([
            f32::from_bits(0x7fff_ffff),
            f32::from_bits(0x7f80_0001),
            f32::from_bits(0xff80_0001),
        ]);
        for bits in 0..infinity {
            let (value, next) = (from_bits(dtype, bits), from_bits(dtype, bits + 1));
            // The middle before infinity is where the next number would be.
            let next = if next.is_finite() { next } else { 2.0 * value - from_bits(dtype, bits - 1) };
            let middle = 0.5 * value + 0.5 * next;
            let sign = if bits % 2 == 0 { 1.0 } else { -1.0 };
            if middle.is_finite() && middle.is_normal() {
                let beside =
                    [middle.to_bits() - 1, middle.to_bits(), middle.to_bits() + 1].map(f32::from_bits);
                values.extend(beside.map(|value| sign * value));
            }
        }
        for (layout, spatial) in
            [(Layout::ChannelsFirst, 1), (Layout::ChannelsFirst, 4), (Layout::ChannelsLast, 3)]
        {
            let mut setup = identity(dtype, layout, values.len(), spatial).with_x(|_, _, _| 0.0);
            setup.bias.clone_from(&values);
            let results = setup.run(context)?;
            for (c, &value) in values.iter().enumerate() {
                for s in 0..spatial {
                    let got = results.y[setup.shape.index(0, c, s)];
                    let expected = to_bits(dtype, value);
                    expect_half(&format!("{value:e} ({:#010x})", value.to_bits()), dtype, got, expected)?;
                }
            }
        }
    }
    Ok(())
}

/// Whole words, and a half more.
fn every_length_up_to_some_words(context: &Context) -> Result<(), Failed> {
    for dtype in HALVES {
        for layout in LAYOUTS {
            for (n, c, s) in
                [1, 2, 3].into_iter().flat_map(|n| (1..4).flat_map(move |c| (1..6).map(move |s| (n, c, s))))
            {
                if n * s > 1 {
                    let setup = Setup::new(shape(&[n, c, s], layout), 0.5, 1.0).with_dtype(dtype);
                    setup.check(context)?;
                }
            }
        }
    }
    Ok(())
}

/// All tensors are ranges of one buffer, between which there is something else.
fn nothing_beyond_the_last_word_is_written(context: &Context) -> Result<(), Failed> {
    for traversal in Traversal::ALL {
        let context = context.with_schedule(Schedule::with_traversal(traversal));
        nothing_beyond_the_last_half_is_written(&context)?;
    }
    Ok(())
}

fn nothing_beyond_the_last_half_is_written(context: &Context) -> Result<(), Failed> {
    const OTHER: u32 = 0xdead_beef;
    const NEIGHBOR: u16 = 0x1234;
    for dtype in HALVES {
        for (sizes, in_place) in
            [(&[3usize, 5, 7][..], false), (&[3, 5, 7], true), (&[4, 6, 5], true), (&[1, 1, 5], false)]
        {
            for layout in LAYOUTS {
                let setup = Setup::new(shape(sizes, layout), 0.5, 1.0).with_dtype(dtype).with_residual();
                let expected = setup.run(context)?;
                let buffers = Buffers::new(context, &setup)?;
                let mut arena = Arena::new(context, 1 << 16);
                context.queue().write_buffer(&arena.buffer, 0, bytemuck::cast_slice(&[OTHER; 1 << 14]));
                // An odd one more: what shares the last word with the tensor's last element.
                let halves = |values: &[f32]| {
                    let halves = values.iter().map(|&value| to_bits(dtype, value));
                    halves.chain((values.len() % 2 == 1).then_some(NEIGHBOR)).collect::<Vec<u16>>()
                };
                let (x, dy) = (halves(&setup.x), halves(&setup.dy));
                let input = arena.filled(&x);
                let kept = arena.filled(&x);
                let dy = arena.filled(&dy);
                let residual = arena.filled(&halves(setup.residual.as_deref().unwrap_or_default()));
                let dresidual = arena.filled(&x);
                let (other_y, other_dx) = (arena.filled(&x), arena.filled(&x));
                let (y, dx) =
                    if in_place { (input.clone(), dy.clone()) } else { (other_y.clone(), other_dx.clone()) };
                let forward = ForwardTensors {
                    x: input.clone(),
                    y: y.clone(),
                    residual: Some(residual.clone()),
                    ..buffers.forward()
                };
                let backward = BackwardTensors {
                    x: kept.clone(),
                    dy: dy.clone(),
                    dx: Some(dx.clone()),
                    residual: Some(residual.clone()),
                    dresidual: Some(dresidual.clone()),
                    ..buffers.backward()
                };
                let (forward, backward) =
                    (buffers.bind_forward(&forward)?, buffers.bind_backward(&backward)?);
                submit::<BatchNormError>(context, |encoder| {
                    forward.record(&mut *encoder)?;
                    backward.record(encoder)
                })?;
                let all = download(context, &BufferRange::from(&arena.buffer))?;
                let ranges = [&input, &kept, &dy, &residual, &dresidual, &other_y, &other_dx];
                for (i, word) in all.iter().enumerate() {
                    let byte = 4 * i as u64;
                    let inside =
                        ranges.iter().any(|range| (range.offset..range.offset + range.size).contains(&byte));
                    if !inside && word.to_bits() != OTHER {
                        return Err(format!(
                            "{dtype:?} {}: byte {byte} is no tensor's and was written",
                            setup.shape
                        )
                        .into());
                    }
                }
                for (what, range, expected) in [
                    ("y", &y, &expected.y),
                    ("dx", &dx, &expected.dx),
                    ("dresidual", &dresidual, expected.dresidual.as_ref().unwrap_or(&expected.y)),
                ] {
                    let words =
                        bits(&all[(range.offset / 4) as usize..((range.offset + range.size) / 4) as usize]);
                    let got: Vec<u16> =
                        words.iter().flat_map(|word| [*word as u16, (word >> 16) as u16]).collect();
                    if got != halves(expected) {
                        return Err(
                            format!("{dtype:?} {} in place {in_place}: {what} differs", setup.shape).into()
                        );
                    }
                }
            }
        }
    }
    Ok(())
}

/// Sums and products far beyond 65,504, of gradients that are not.
fn gradients_whose_sums_are_beyond_the_range(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let mut setup = Setup::new(shape(&[8, 5, 31, 3], layout), 0.0, 100.0);
        setup.dy.iter_mut().for_each(|dy| *dy = 40_000.0 + 5000.0 * *dy);
        let setup = setup.with_dtype(Dtype::F16);
        setup.check(context)?;
        let results = setup.run(context)?;
        if results.dbias.iter().any(|dbias| dbias.abs() < 1e7) || results.dx.iter().any(|dx| !dx.is_finite())
        {
            return Err(format!("dbias is {:?}", results.dbias).into());
        }
    }
    Ok(())
}
