//! Any shape, layout and options against the reference; and the same bits in every run.

use crate::Test;
use crate::forward_pipelined::in_runs;
use crate::subject::{LAYOUTS, Setup, plans, shape};
use libtest_mimic::Failed;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wgpu_batchnorm::{Context, Dtype, Layout, Mode, Momentum, Options, Schedule, Traversal};

pub(crate) const TESTS: &[Test] = &[
    ("any_step_matches_the_reference", any_step_matches_the_reference),
    ("few_channels_with_many_values", few_channels_with_many_values),
    ("few_channels_and_many_as_on_a_graphics_processor", few_channels_and_many_as_on_a_graphics_processor),
    ("the_same_bits_in_every_run", the_same_bits_in_every_run),
    ("both_layouts_have_the_same_statistics", both_layouts_have_the_same_statistics),
];

/// What the kernels tell apart: words of one element, and of two.
const FLOATS: [Dtype; 2] = [Dtype::F32, Dtype::F16];

fn any_step_matches_the_reference(context: &Context) -> Result<(), Failed> {
    let sizes = prop_oneof![
        (1usize..9, 1usize..20).prop_map(|(n, c)| vec![n, c]),
        (1usize..9, 1usize..20, 1usize..150).prop_map(|(n, c, l)| vec![n, c, l]),
        (1usize..6, 1usize..10, 1usize..20, 1usize..20).prop_map(|(n, c, h, w)| vec![n, c, h, w]),
        (1usize..4, 1usize..6, 1usize..6, 1usize..9, 1usize..9)
            .prop_map(|(n, c, d, h, w)| vec![n, c, d, h, w]),
    ];
    let layout = prop_oneof![Just(Layout::ChannelsFirst), Just(Layout::ChannelsLast)];
    let mode = prop_oneof![3 => Just(Mode::TRAINING), 1 => Just(Mode::EVALUATION)];
    let momentum = prop_oneof![Just(Momentum::Cumulative), (0.0..=1.0).prop_map(Momentum::MovingAverage)];
    let options = (any::<[bool; 3]>(), prop_oneof![Just(1e-5), Just(1e-3), Just(0.5)], momentum);
    let data = (-1e4..1e4, 1e-2..1e2);
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let steps = (sizes, layout, mode, options, data);
    runner.run(
        &steps,
        |(sizes, layout, mode, ([weight, bias, running], eps, momentum), (mean, deviation))| {
            let shape = shape(&sizes, layout);
            prop_assume!(mode == Mode::EVALUATION || shape.values_per_channel() > 1);
            let mut setup = Setup::new(shape, mean, deviation);
            setup.mode = mode;
            let running_statistics = running || mode == Mode::EVALUATION;
            setup.options = Options { eps, momentum, weight, bias, running_statistics, ..setup.options };
            setup.check(context).map_err(|error| TestCaseError::fail(format!("{error:?}")))
        },
    )?;
    Ok(())
}

fn few_channels_with_many_values(context: &Context) -> Result<(), Failed> {
    for sizes in [&[3usize, 5, 200_003][..], &[1, 2, 1000, 1001], &[2, 1, 400_004], &[100_003, 6]] {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            Setup::new(shape(sizes, layout), 50.0, 3.0).check(context)?;
        }
    }
    Ok(())
}

/// Wide workgroups, whose lanes share channels that come last.
fn few_channels_and_many_as_on_a_graphics_processor(context: &Context) -> Result<(), Failed> {
    for sizes in [&[64usize, 1024, 49][..], &[2000, 512], &[700, 3, 31]] {
        for (layout, dtype) in LAYOUTS.into_iter().flat_map(|layout| FLOATS.map(|dtype| (layout, dtype))) {
            let setup = Setup::new(shape(sizes, layout), 50.0, 3.0).with_dtype(dtype);
            for schedule in [Schedule::with_traversal(Traversal::Split), in_runs(2)] {
                let schedule = Schedule { as_gpu: true, ..schedule };
                setup.check(&context.with_schedule(schedule)).map_err(|error| {
                    let message = error.message().unwrap_or_default().to_owned();
                    format!("{} {layout:?} {dtype:?} {schedule:?}: {message}", setup.shape)
                })?;
            }
        }
    }
    Ok(())
}

/// In every traversal, in several runs of channels, with words that two rows share, and with strips of channels.
fn the_same_bits_in_every_run(context: &Context) -> Result<(), Failed> {
    let sizes = [[16, 24, 31 * 17], [4, 64, 30 * 30], [9, 21, 7 * 7]];
    for (sizes, layout) in sizes.iter().flat_map(|sizes| LAYOUTS.map(|layout| (sizes, layout))) {
        for dtype in FLOATS {
            let setup = Setup::new(shape(sizes, layout), 5.0, 2.0).with_dtype(dtype);
            let forced = Traversal::ALL.map(Schedule::with_traversal);
            for schedule in forced.into_iter().chain([Schedule::default(), in_runs(3)]) {
                let context = context.with_schedule(schedule);
                if plans(&setup, &context, schedule)?.is_none() {
                    continue;
                }
                let first = setup.run(&context)?;
                for _ in 0..2 {
                    let again = setup.run(&context)?;
                    let same = first.same_bits(&again).and_then(|()| {
                        (first.statistics == again.statistics)
                            .then_some(())
                            .ok_or("other statistics".to_owned())
                    });
                    same.map_err(|error| {
                        format!("{} {dtype:?} {layout:?} {schedule:?}: {error}", setup.shape)
                    })?;
                }
            }
        }
    }
    Ok(())
}

fn both_layouts_have_the_same_statistics(context: &Context) -> Result<(), Failed> {
    let first = Setup::new(shape(&[6, 10, 9, 5], Layout::ChannelsFirst), 300.0, 1.0);
    let mut last = Setup::new(shape(&[6, 10, 9, 5], Layout::ChannelsLast), 300.0, 1.0);
    for n in 0..6 {
        for c in 0..10 {
            for s in 0..45 {
                last.x[last.shape.index(n, c, s)] = first.x[first.shape.index(n, c, s)];
            }
        }
    }
    let (a, b) = (first.run(context)?.statistics, last.run(context)?.statistics);
    for c in 0..10 {
        approx::assert_ulps_eq!(a.mean[c], b.mean[c], max_ulps = 1);
        approx::assert_relative_eq!(a.var[c], b.var[c], max_relative = 5e-7);
    }
    Ok(())
}
