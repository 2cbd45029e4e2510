//! `backward_pipelined`: one run of channels is written while the sums of the next are taken.

use crate::Test;
use crate::forward_pipelined::in_runs;
use crate::subject::{ACTIVATIONS, DTYPES, LAYOUTS, Setup, check_traversal, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Order};

pub(crate) const TESTS: &[Test] = &[
    ("every_activation_with_a_residual", every_activation_with_a_residual),
    ("groups_of_samples", groups_of_samples),
];

fn every_activation_with_a_residual(context: &Context) -> Result<(), Failed> {
    for (activation, layout) in ACTIVATIONS.into_iter().flat_map(|a| LAYOUTS.map(|layout| (a, layout))) {
        let setup = Setup::new(shape(&[6, 8, 5, 2], layout), 0.2, 1.0)
            .with_activation(activation, Order::Post)
            .with_residual();
        check_traversal(&setup, context, in_runs(3))?;
    }
    Ok(())
}

fn groups_of_samples(context: &Context) -> Result<(), Failed> {
    for (dtype, layout) in DTYPES.into_iter().flat_map(|dtype| LAYOUTS.map(|layout| (dtype, layout))) {
        let setup = Setup::new(shape(&[10, 4, 6, 2], layout), 2.0, 1.0)
            .with_dtype(dtype)
            .with_ghost_batch(3)
            .with_mask(0.8);
        check_traversal(&setup, context, in_runs(2))?;
    }
    Ok(())
}
