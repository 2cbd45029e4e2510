//! `statistics`: moments that keep their digits whatever the mean, the outliers and the order.

use crate::Test;
use crate::subject::{SIZES, Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{BatchNorm, Context, DeviceKind, Layout, Mode, Operation, Schedule, Traversal};

pub(crate) const TESTS: &[Test] = &[
    ("every_size_and_layout", every_size_and_layout),
    ("a_large_mean_costs_no_digits", a_large_mean_costs_no_digits),
    ("an_outlier_costs_no_digits", an_outlier_costs_no_digits),
    ("many_blocks_lose_no_digits", many_blocks_lose_no_digits),
    ("exactly_representable_statistics_are_exact", exactly_representable_statistics_are_exact),
    ("nan_and_infinity_stay_in_their_channel", nan_and_infinity_stay_in_their_channel),
];

fn every_size_and_layout(context: &Context) -> Result<(), Failed> {
    for sizes in SIZES {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            Setup::new(shape(sizes, layout), 0.5, 2.0).check(context)?;
        }
    }
    Ok(())
}

fn a_large_mean_costs_no_digits(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for sizes in [&[8, 4, 16, 16], &[2, 3, 63, 65], &[64, 8, 30, 30]] {
            for mean in [1e3, -1e5, 1e6] {
                Setup::new(shape(sizes, layout), mean, 1.0).check(context)?;
            }
        }
    }
    Ok(())
}

/// The first value of each channel, the last, and whole leading rows far from the rest.
fn an_outlier_costs_no_digits(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let setup = Setup::new(shape(&[16, 5, 20, 20], layout), 3.0, 1.0);
        let last = setup.shape.values_per_channel() - 1;
        for outlier in [1e3f32, -1e6, 1e12] {
            setup.clone().with_x(|_, i, x| if i == 0 { outlier } else { x }).check(context)?;
            setup.clone().with_x(|_, i, x| if i == last { outlier } else { x }).check(context)?;
            setup.clone().with_x(|_, i, x| if i < 64 { outlier + x } else { x }).check(context)?;
        }
        // A mean that drifts by many deviations along the channel.
        setup.clone().with_x(|_, i, x| x + i as f32 * 0.5).check(context)?;
    }
    Ok(())
}

/// Data that repeat: every lane makes the same rounding errors, hundreds of times over, so that no later
/// merge averages them out. Few tiles leave few splits, and each lane many blocks.
fn many_blocks_lose_no_digits(context: &Context) -> Result<(), Failed> {
    let split = Schedule::with_traversal(Traversal::Split);
    let context = &context.with_schedule(Schedule { tiles: Some(4), ..split });
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let setup = Setup::new(shape(&[1, 64, 40_001], layout), 0.0, 1.0)
            .with_x(|c, i, _| 0.1 * (1 + i % 4) as f32 + c as f32);
        let plan = BatchNorm::new(context, setup.options)?
            .plan(&setup.shape, Operation::Forward { pass: Mode::TRAINING.into(), in_place: false })?;
        let statistics = plan.dispatches().first().ok_or("a dispatch")?;
        let lanes =
            statistics.grid().map(u64::from).iter().product::<u64>() * u64::from(statistics.workgroup_size());
        let per_lane = setup.shape.elements() as u64 / lanes;
        if context.traits().kind == DeviceKind::Cpu && per_lane < 4000 {
            return Err(format!("{per_lane} values a lane: the test tests nothing").into());
        }
        setup.check(context)?;
    }
    Ok(())
}

/// Pairs around a power of two: mean and variance have few bits, so no order of summation may round.
fn exactly_representable_statistics_are_exact(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for sizes in [&[8, 7, 8, 8], &[2, 7, 64, 64], &[128, 7, 3, 1]] {
            let center = |c: usize| 0.25 * f32::from(1u8 << (c % 7));
            let setup = Setup::new(shape(sizes, layout), 0.0, 1.0)
                .with_x(|c, i, _| center(c) + if i % 2 == 0 { 0.125 } else { -0.125 });
            let results = setup.run(context)?;
            for c in 0..7 {
                let (mean, var) = (results.statistics.mean[c], results.statistics.var[c]);
                if (mean, var) != (center(c), 0.015_625) {
                    return Err(
                        format!("{sizes:?} {layout:?}: mean {mean}, variance {var} in channel {c}").into()
                    );
                }
            }
        }
    }
    Ok(())
}

fn nan_and_infinity_stay_in_their_channel(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in [0, 100, 3 * 49 - 1] {
                let setup = Setup::new(shape(&[3, 6, 7, 7], layout), 1.0, 1.0)
                    .with_x(|c, i, x| if c == 2 && i == place { bad } else { x });
                let results = setup.run(context)?;
                for n in 0..3 {
                    for c in 0..6 {
                        for s in 0..49 {
                            let i = setup.shape.index(n, c, s);
                            let finite = results.y[i].is_finite() && results.dx[i].is_finite();
                            // Where the mean is infinite, x̂ is 0 · ∞ or ∞ − ∞: nothing finite is left.
                            if finite == (c == 2) {
                                return Err(format!(
                                    "{layout:?} {bad} at {place}: y {} dx {} in channel {c}",
                                    results.y[i], results.dx[i]
                                )
                                .into());
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(())
}
