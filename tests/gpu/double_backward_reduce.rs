//! `double_backward_reduce`: the five sums, over any size, what a mask shows, and ghost batches.

use crate::Test;
use crate::subject::{Double, LAYOUTS, SIZES, Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::Context;

pub(crate) const TESTS: &[Test] = &[
    ("every_size_and_layout", every_size_and_layout),
    ("what_a_mask_shows", what_a_mask_shows),
    ("ghost_batches", ghost_batches),
    ("sums_that_cancel", sums_that_cancel),
    ("means_that_are_large", means_that_are_large),
];

fn every_size_and_layout(context: &Context) -> Result<(), Failed> {
    for sizes in SIZES {
        for layout in LAYOUTS {
            Double::check(context, &Setup::new(shape(sizes, layout), 0.5, 2.0))?;
        }
    }
    Ok(())
}

fn what_a_mask_shows(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let mut setup = Setup::new(shape(&[5, 7, 9, 3], layout), 1.0, 1.5).with_mask(0.6);
        let mask = setup.mask.clone().unwrap_or_default();
        for c in 0..7 {
            for (i, position) in crate::subject::positions(setup.shape, c, 0..5) {
                if !mask[position] {
                    (setup.x[i], setup.dy[i]) = (f32::NAN, f32::INFINITY);
                }
            }
        }
        Double::check(context, &setup)?;
    }
    Ok(())
}

fn ghost_batches(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for group in [1, 2, 3, 5, 9] {
            let setup = Setup::new(shape(&[5, 6, 7, 3], layout), -1.0, 1.5).with_ghost_batch(group);
            Double::check(context, &setup)?;
            Double::check(context, &setup.with_mask(0.7))?;
        }
    }
    Ok(())
}

/// Alternating signs: the sums are small against their terms.
fn sums_that_cancel(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let mut setup = Setup::new(shape(&[16, 6, 20, 20], layout), 10.0, 1.0);
        let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        setup.dy.iter_mut().enumerate().for_each(|(i, dy)| *dy = sign(i / 6) * (1.0 + *dy * 1e-3));
        Double::check(context, &setup)?;
    }
    Ok(())
}

/// Products of the values themselves would lose everything.
fn means_that_are_large(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for mean in [10.0f32, -1e3, 1e5] {
            for sizes in [&[8usize, 3, 16, 16][..], &[40, 5, 7, 7], &[2, 2, 3001]] {
                let mut setup = Setup::new(shape(sizes, layout), 2.0, 1.5);
                setup.dy.iter_mut().for_each(|dy| *dy += mean);
                Double::check_with_ddx_mean(context, &setup, f64::from(mean) * 0.5)?;
                Double::check_with_ddx_mean(context, &setup.with_mask(0.8), -f64::from(mean))?;
            }
        }
    }
    Ok(())
}
