//! `backward_resident`: a workgroup that has all gradients of its channels, and keeps them or reads them again.

use crate::Test;
use crate::forward_resident::WHOLE;
use crate::subject::{ACTIVATIONS, DTYPES, LAYOUTS, Setup, bits, check_traversal, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Order, Schedule};

pub(crate) const TESTS: &[Test] = &[
    ("every_activation_with_a_residual", every_activation_with_a_residual),
    ("groups_of_samples", groups_of_samples),
    ("the_same_bits_in_every_run", the_same_bits_in_every_run),
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

fn the_same_bits_in_every_run(context: &Context) -> Result<(), Failed> {
    for traversal in wgpu_batchnorm::Traversal::ALL {
        let context = context.with_schedule(Schedule::with_traversal(traversal));
        let setup = Setup::new(shape(&[16, 24, 13, 8], LAYOUTS[0]), 5.0, 2.0);
        let first = setup.run(&context)?;
        for _ in 0..3 {
            let again = setup.run(&context)?;
            if bits(&first.y) != bits(&again.y) || bits(&first.dx) != bits(&again.dx) {
                return Err(format!("{traversal}: other bits in another run").into());
            }
        }
    }
    Ok(())
}
