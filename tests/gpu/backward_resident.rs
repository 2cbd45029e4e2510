//! `backward_resident`: a workgroup that has all gradients of its channels, and keeps them or reads them again.

use crate::Test;
use crate::forward_resident::WHOLE;
use crate::subject::{ACTIVATIONS, DTYPES, LAYOUTS, Setup, check_traversal, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Order, Schedule};

pub(crate) const TESTS: &[Test] = &[
    ("every_activation_with_a_residual", every_activation_with_a_residual),
    ("groups_of_samples", groups_of_samples),
];

fn every_activation_with_a_residual(context: &Context) -> Result<(), Failed> {
    for (traversal, activation) in WHOLE.into_iter().flat_map(|t| ACTIVATIONS.map(|a| (t, a))) {
        for (order, layout) in [(Order::Post, LAYOUTS[0]), (Order::Pre, LAYOUTS[1])] {
            let setup = Setup::new(shape(&[6, 8, 5, 2], layout), 0.2, 1.0)
                .with_activation(activation, order)
                .with_residual();
            check_traversal(&setup, context, Schedule::with_traversal(traversal))?;
        }
    }
    Ok(())
}

fn groups_of_samples(context: &Context) -> Result<(), Failed> {
    for (traversal, dtype) in WHOLE.into_iter().flat_map(|t| DTYPES.map(|dtype| (t, dtype))) {
        for (group, layout) in [(2, LAYOUTS[0]), (4, LAYOUTS[1])] {
            let setup = Setup::new(shape(&[10, 4, 6, 2], layout), 2.0, 1.0)
                .with_dtype(dtype)
                .with_ghost_batch(group)
                .with_mask(0.8);
            check_traversal(&setup, context, Schedule::with_traversal(traversal))?;
        }
    }
    Ok(())
}
