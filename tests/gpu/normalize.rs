//! `normalize`: y by either statistics, with and without scale and offset.

use crate::Test;
use crate::subject::{SIZES, Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Layout, Mode, Options};

pub(crate) const TESTS: &[Test] =
    &[("evaluation", evaluation), ("scale_and_offset_are_optional", scale_and_offset_are_optional)];

fn evaluation(context: &Context) -> Result<(), Failed> {
    // One value per channel is fine here.
    for sizes in SIZES.iter().chain(&[&[1usize, 9][..], &[1, 3, 1, 1]]) {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let mut setup = Setup::new(shape(sizes, layout), 100.0, 3.0);
            setup.mode = Mode::EVALUATION;
            setup.check(context)?;
        }
    }
    Ok(())
}

fn scale_and_offset_are_optional(context: &Context) -> Result<(), Failed> {
    for (weight, bias, running_statistics) in
        [(false, false, true), (true, false, true), (false, true, false), (true, true, false)]
    {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let mut setup = Setup::new(shape(&[4, 12, 6, 3], layout), -2.0, 0.5);
            setup.options = Options { weight, bias, running_statistics, ..setup.options };
            setup.check(context)?;
        }
    }
    Ok(())
}
