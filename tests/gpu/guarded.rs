//! `Options::guarded`: a batch with a statistic that is not finite leaves the running statistics alone.

use crate::Test;
use crate::subject::{DTYPES, LAYOUTS, Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Mode, Options, RunningValues, Source};

pub(crate) const TESTS: &[Test] = &[
    ("one_bad_channel_keeps_the_batch_out_of_all", one_bad_channel_keeps_the_batch_out_of_all),
    ("unguarded_takes_it_in", unguarded_takes_it_in),
    ("a_finite_batch_is_taken_in_as_without", a_finite_batch_is_taken_in_as_without),
    ("only_the_bad_group_is_kept_out", only_the_bad_group_is_kept_out),
    ("many_groups_of_many_channels", many_groups_of_many_channels),
];

/// A setup of many channels, so that several workgroups decide, with `bad` once in channel `channel`.
fn with_bad(layout: wgpu_batchnorm::Layout, channel: usize, bad: f32, source: Source) -> Setup {
    let mut setup = Setup::new(shape(&[4, 601, 5], layout), 0.5, 1.0)
        .with_x(|c, i, x| if c == channel && i == 7 { bad } else { x });
    setup.mode = Mode { source, update: true };
    setup.running.num_batches_skipped = 4;
    setup
}

fn one_bad_channel_keeps_the_batch_out_of_all(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for source in [Source::Batch, Source::Running, Source::Given] {
            for dtype in DTYPES {
                for (channel, bad) in
                    [(0, f32::NAN), (300, f32::INFINITY), (600, f32::NEG_INFINITY), (255, f32::NAN)]
                {
                    let mut setup = with_bad(layout, channel, bad, source).with_dtype(dtype);
                    setup.options.guarded = true;
                    let results = setup.run(context)?;
                    let expected = RunningValues { num_batches_skipped: 5, ..setup.running.clone() };
                    if results.running != Some(expected) {
                        return Err(
                            format!("{layout:?} {source:?} {bad} in {channel}: not left alone").into()
                        );
                    }
                    // y and the gradients are those of any other batch.
                    setup.compare(&results)?;
                }
            }
        }
    }
    Ok(())
}

fn unguarded_takes_it_in(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for bad in [f32::NAN, f32::INFINITY] {
            let setup = with_bad(layout, 300, bad, Source::Batch);
            let results = setup.run(context)?;
            setup.compare(&results)?;
            let running = results.running.ok_or("there are running statistics")?;
            let not_finite = running.mean.iter().filter(|mean| !mean.is_finite()).count();
            assert_eq!((not_finite, running.num_batches_tracked, running.num_batches_skipped), (1, 4, 4));
        }
    }
    Ok(())
}

fn a_finite_batch_is_taken_in_as_without(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let setup = Setup::new(shape(&[4, 601, 5], layout), 0.5, 1.0);
        let guarded = Setup { options: Options { guarded: true, ..setup.options }, ..setup.clone() };
        guarded.check(context)?;
        guarded.run(context)?.same_bits(&setup.run(context)?)?;
    }
    Ok(())
}

fn only_the_bad_group_is_kept_out(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let mut setup = with_bad(layout, 300, f32::NAN, Source::Batch).with_ghost_batch(1);
        setup.options.guarded = true;
        let results = setup.run(context)?;
        setup.compare(&results)?;
        let running = results.running.ok_or("there are running statistics")?;
        assert_eq!((running.num_batches_tracked, running.num_batches_skipped), (6, 5));
    }
    Ok(())
}

/// Each group's statistics of all channels are looked at, to the last one.
fn many_groups_of_many_channels(context: &Context) -> Result<(), Failed> {
    let (groups, channels) = (2350, 2000);
    let mut setup = Setup::new(shape(&[2, channels], wgpu_batchnorm::Layout::ChannelsLast), 0.5, 1.0);
    // The same two samples over and over: what is computed of them is checked elsewhere.
    setup.shape = shape(&[2 * groups, channels], wgpu_batchnorm::Layout::ChannelsLast);
    (setup.x, setup.dy) = (setup.x.repeat(groups), setup.dy.repeat(groups));
    let bad = (2 * groups - 1) * channels + channels - 1;
    setup.x[bad] = f32::NAN;
    setup.options.guarded = true;
    let running = setup.with_ghost_batch(2).run(context)?.running.ok_or("there are running statistics")?;
    let counts = (running.num_batches_tracked, running.num_batches_skipped);
    if counts == (3 + groups as u32 - 1, 1) && running.mean.iter().all(|mean| mean.is_finite()) {
        return Ok(());
    }
    Err(format!("tracked and skipped are {counts:?}").into())
}
