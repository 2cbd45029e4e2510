//! Ghost batches: each with its own statistics, and one update of the running ones each, in order.

use crate::Test;
use crate::subject::{Buffers, Double, LAYOUTS, Setup, device_still_works, expect, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    BatchNorm, BatchNormError, Context, ForwardTensors, Layout, Mode, Momentum, Operation, Options,
    OptionsError, PlanError, SavedStatistics, Source, TensorError,
};

pub(crate) const TESTS: &[Test] = &[
    ("any_group_size", any_group_size),
    ("many_groups", many_groups),
    ("as_many_groups_as_are_allowed", as_many_groups_as_are_allowed),
    ("a_group_as_large_as_the_batch_is_the_batch", a_group_as_large_as_the_batch_is_the_batch),
    ("running_statistics_take_the_groups_in_order", running_statistics_take_the_groups_in_order),
    ("held_statistics_are_those_of_all_groups", held_statistics_are_those_of_all_groups),
    ("sizes_that_are_refused", sizes_that_are_refused),
    ("saved_statistics_need_room_for_each_group", saved_statistics_need_room_for_each_group),
];

fn any_group_size(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for sizes in [&[7usize, 5, 3, 5][..], &[7, 8, 6, 4], &[7, 1, 9], &[7, 3, 1000]] {
            for group in 1..=8 {
                Setup::new(shape(sizes, layout), 2.0, 1.5).with_ghost_batch(group).check(context)?;
            }
        }
        for group in [2, 3, 4, 6, 11] {
            Setup::new(shape(&[12, 5], layout), 2.0, 1.5).with_ghost_batch(group.min(10)).check(context)?;
        }
    }
    Ok(())
}

fn many_groups(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for (sizes, group) in [
            (&[300usize, 3, 5][..], 1),
            (&[300, 70, 2], 1),
            (&[601, 4, 3], 2),
            (&[600, 9], 2),
            (&[2000, 1, 4], 1),
        ] {
            Setup::new(shape(sizes, layout), -1.0, 1.0).with_ghost_batch(group).check(context)?;
        }
    }
    Ok(())
}

/// What is beyond is refused; what is not is computed to the last group.
fn as_many_groups_as_are_allowed(context: &Context) -> Result<(), Failed> {
    let setup = |samples: usize| Setup::new(shape(&[samples, 2, 2], Layout::ChannelsFirst), -1.0, 1.0);
    let beyond = setup(100_000).with_ghost_batch(1);
    let planned = BatchNorm::new(context, beyond.options)?
        .plan(&beyond.shape, Operation::Forward { pass: Mode::TRAINING.into(), in_place: false });
    let Err(BatchNormError::Plan(PlanError::TooManyGroups { groups: 100_000, max, .. })) = planned else {
        return Err("100,000 groups are not refused".into());
    };
    let most = setup(usize::try_from(max)?).with_ghost_batch(1);
    most.check(context)?;
    Double::check(context, &most)
}

fn a_group_as_large_as_the_batch_is_the_batch(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let setup = Setup::new(shape(&[6, 5, 7, 3], layout), 2.0, 1.5);
        let expected = setup.run(context)?;
        for group in [6, 7, 1000, usize::MAX] {
            setup.clone().with_ghost_batch(group).run(context)?.same_bits(&expected)?;
        }
    }
    Ok(())
}

/// Groups far apart, so that another order would give other running statistics.
fn running_statistics_take_the_groups_in_order(context: &Context) -> Result<(), Failed> {
    for momentum in [Momentum::MovingAverage(0.9), Momentum::MovingAverage(0.1), Momentum::Cumulative] {
        for layout in LAYOUTS {
            let spatial = 5;
            let mut setup = Setup::new(shape(&[5, 70, spatial], layout), 0.0, 1.0)
                .with_x(|_, position, x| x + (1 + position / spatial / 2) as f32 * 100.0)
                .with_ghost_batch(2);
            setup.options.momentum = momentum;
            setup.check(context)?;
            let results = setup.run(context)?;
            let running = results.running.ok_or("there are running statistics")?;
            assert_eq!(running.num_batches_tracked, setup.running.num_batches_tracked + 3);
            if momentum == Momentum::MovingAverage(0.9) && running.mean.iter().any(|&mean| mean < 280.0) {
                return Err(format!("{:?} is not near the last group's mean", running.mean).into());
            }
        }
    }
    Ok(())
}

fn held_statistics_are_those_of_all_groups(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for source in [Source::Running, Source::Given] {
            for update in [false, true] {
                let mut setup = Setup::new(shape(&[5, 6, 7], layout), 2.0, 1.5);
                setup.mode = Mode { source, update };
                let expected = setup.run(context)?;
                let setup = setup.with_ghost_batch(2);
                setup.check(context)?;
                let results = setup.run(context)?;
                if (&results.y, &results.dx) != (&expected.y, &expected.dx) {
                    return Err(format!("{source:?}: the groups make a difference").into());
                }
            }
        }
    }
    Ok(())
}

fn sizes_that_are_refused(context: &Context) -> Result<(), Failed> {
    let none = Options { ghost_batch: Some(0), ..Options::new(3) };
    expect(BatchNorm::new(context, none), "no samples", |e| *e == OptionsError::GhostBatch)?;
    // [N, C]: groups of 1, or a last one of 1.
    for (samples, group) in [(4usize, 1), (5, 2), (7, 3), (9, 4)] {
        let setup = Setup::new(shape(&[samples, 3], Layout::ChannelsFirst), 0.0, 1.0).with_ghost_batch(group);
        let buffers = Buffers::new(context, &setup)?;
        let is_expected = |e: &BatchNormError| {
            *e == BatchNormError::OneValuePerGhostBatch { shape: setup.shape, ghost_batch: group }
        };
        expect(buffers.bind_forward(&buffers.forward()), "one value", is_expected)?;
        expect(buffers.bind_backward(&buffers.backward()), "one value", is_expected)?;
        buffers.expect_untouched(context)?;
        // Held statistics need no variance of the groups.
        let mut evaluation = setup.clone();
        evaluation.mode = Mode::EVALUATION;
        evaluation.check(context)?;
    }
    device_still_works(context)
}

fn saved_statistics_need_room_for_each_group(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[6, 3, 4], Layout::ChannelsFirst), 0.0, 1.0).with_ghost_batch(2);
    let buffers = Buffers::new(context, &setup)?;
    let bytes = SavedStatistics::bytes(3);
    assert_eq!(buffers.saved.range().size, 3 * bytes);
    let saved = SavedStatistics::for_groups(context, 3, 2)?;
    expect(
        buffers.bind_forward(&ForwardTensors { saved: &saved, ..buffers.forward() }),
        "two groups",
        |e| *e == TensorError::TooSmall { tensor: "saved", actual: 2 * bytes, expected: 3 * bytes }.into(),
    )?;
    buffers.expect_untouched(context)
}
