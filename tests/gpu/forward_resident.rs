//! `forward_resident`: a workgroup that has all values of its channels, and keeps them or reads them again.

use crate::Test;
use crate::subject::{DTYPES, LAYOUTS, SIZES, Setup, check_traversal, plans, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Activation, Context, Dtype, Order, Schedule, Traversal};

pub(crate) const TESTS: &[Test] = &[
    ("every_size_and_layout", every_size_and_layout),
    ("every_dtype_with_an_epilogue", every_dtype_with_an_epilogue),
    ("a_large_mean_costs_no_digits", a_large_mean_costs_no_digits),
    ("groups_and_a_guard_update_later", groups_and_a_guard_update_later),
];

pub(crate) const WHOLE: [Traversal; 2] = [Traversal::Revisited, Traversal::Resident];

fn every_size_and_layout(context: &Context) -> Result<(), Failed> {
    for traversal in WHOLE {
        for (sizes, layout) in SIZES.iter().flat_map(|sizes| LAYOUTS.map(|layout| (sizes, layout))) {
            let setup = Setup::new(shape(sizes, layout), 3.0, 1.5);
            let schedule = Schedule::with_traversal(traversal);
            // Small workgroups keep few values; these are kept by all.
            let is_small = setup.shape.values_per_channel() <= 1000;
            if is_small || plans(&setup, context, schedule)?.is_some() {
                check_traversal(&setup, context, schedule)?;
            }
        }
    }
    Ok(())
}

fn every_dtype_with_an_epilogue(context: &Context) -> Result<(), Failed> {
    for traversal in WHOLE {
        for (dtype, layout) in DTYPES.into_iter().flat_map(|dtype| LAYOUTS.map(|layout| (dtype, layout))) {
            for workgroup in [None, Some(1), Some(64)] {
                let setup = Setup::new(shape(&[5, 6, 7, 4], layout), 0.2, 1.0)
                    .with_dtype(dtype)
                    .with_activation(Activation::Silu, Order::Post)
                    .with_residual()
                    .with_mask(0.7);
                let schedule = Schedule { workgroup, ..Schedule::with_traversal(traversal) };
                check_traversal(&setup, context, schedule)?;
            }
        }
    }
    Ok(())
}

fn a_large_mean_costs_no_digits(context: &Context) -> Result<(), Failed> {
    for (traversal, layout) in WHOLE.into_iter().flat_map(|t| LAYOUTS.map(|layout| (t, layout))) {
        let setup = Setup::new(shape(&[40, 3, 10, 10], layout), 1e5, 1.0).with_dtype(Dtype::F32);
        check_traversal(&setup, context, Schedule::with_traversal(traversal))?;
    }
    Ok(())
}

fn groups_and_a_guard_update_later(context: &Context) -> Result<(), Failed> {
    for traversal in WHOLE {
        for guarded in [false, true] {
            let mut setup = Setup::new(shape(&[11, 5, 3, 4], LAYOUTS[0]), 1.0, 2.0).with_ghost_batch(3);
            setup.options.guarded = guarded;
            check_traversal(&setup, context, Schedule::with_traversal(traversal))?;
        }
    }
    Ok(())
}
