//! `backward_reduce`: sums that cancel keep their digits.

use crate::Test;
use crate::subject::{Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Layout, Mode};

pub(crate) const TESTS: &[Test] =
    &[("sums_that_cancel", sums_that_cancel), ("large_gradients", large_gradients)];

fn sums_that_cancel(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for mode in [Mode::TRAINING, Mode::EVALUATION] {
            let mut setup = Setup::new(shape(&[32, 6, 28, 28], layout), 10.0, 1.0);
            setup.mode = mode;
            let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
            setup.dy.iter_mut().enumerate().for_each(|(i, dy)| *dy = sign(i / 6) * (1.0 + *dy * 1e-3));
            setup.check(context)?;
        }
    }
    Ok(())
}

fn large_gradients(context: &Context) -> Result<(), Failed> {
    let mut setup = Setup::new(shape(&[8, 3, 9, 9], Layout::ChannelsFirst), 0.0, 1.0);
    setup.dy.iter_mut().for_each(|dy| *dy *= 1e30);
    setup.check(context)
}
