//! `backward_apply`: dx, with the batch's statistics and with constant ones.

use crate::Test;
use crate::subject::{Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Layout, Mode};

pub(crate) const TESTS: &[Test] = &[
    ("constant_statistics", constant_statistics),
    ("nan_in_dy_stays_in_its_channel", nan_in_dy_stays_in_its_channel),
    ("nan_in_x_does_not_matter_to_constant_statistics", nan_in_x_does_not_matter_to_constant_statistics),
];

fn constant_statistics(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for sizes in [&[4, 20, 9, 9], &[3, 65, 5, 3], &[1, 8, 2, 1]] {
            let mut setup = Setup::new(shape(sizes, layout), 2.0, 1.0);
            setup.mode = Mode::EVALUATION;
            setup.check(context)?;
        }
    }
    Ok(())
}

fn nan_in_dy_stays_in_its_channel(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let mut setup = Setup::new(shape(&[3, 8, 6, 6], layout), 0.0, 1.0);
        let place = setup.shape.index(1, 5, 17);
        setup.dy[place] = f32::NAN;
        let results = setup.run(context)?;
        for c in 0..8 {
            let dx = results.dx[setup.shape.index(2, c, 30)];
            if dx.is_nan() != (c == 5)
                || results.dbias[c].is_nan() != (c == 5)
                || results.dweight[c].is_nan() != (c == 5)
            {
                return Err(format!("{layout:?}: dx {dx} in channel {c}").into());
            }
        }
    }
    Ok(())
}

fn nan_in_x_does_not_matter_to_constant_statistics(context: &Context) -> Result<(), Failed> {
    let mut setup = Setup::new(shape(&[3, 8, 6, 6], Layout::ChannelsFirst), 0.0, 1.0);
    setup.mode = Mode::EVALUATION;
    setup.x[setup.shape.index(0, 1, 2)] = f32::NAN;
    let results = setup.run(context)?;
    match results.dx.iter().position(|dx| dx.is_nan()) {
        Some(i) => Err(format!("dx[{i}] is NaN").into()),
        None => Ok(()),
    }
}
