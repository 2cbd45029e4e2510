//! `forward_pipelined`: one run of channels is normalized while the statistics of the next are taken.

use crate::Test;
use crate::subject::{DTYPES, LAYOUTS, SIZES, Setup, check_traversal, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Activation, Context, Order, Schedule, Traversal};

pub(crate) const TESTS: &[Test] = &[
    ("every_size_and_layout", every_size_and_layout),
    ("any_number_of_runs", any_number_of_runs),
    ("many_records_a_channel", many_records_a_channel),
];

/// A schedule with so many runs of channels.
pub(crate) fn in_runs(runs: u64) -> Schedule {
    Schedule { runs: Some(runs), ..Schedule::with_traversal(Traversal::Pipelined) }
}

fn every_size_and_layout(context: &Context) -> Result<(), Failed> {
    for (sizes, layout) in SIZES.iter().flat_map(|sizes| LAYOUTS.map(|layout| (sizes, layout))) {
        check_traversal(&Setup::new(shape(sizes, layout), 3.0, 1.5), context, in_runs(2))?;
    }
    Ok(())
}

fn any_number_of_runs(context: &Context) -> Result<(), Failed> {
    for (runs, dtype) in [1, 2, 3, 5, 1000].into_iter().flat_map(|runs| DTYPES.map(|dtype| (runs, dtype))) {
        for layout in LAYOUTS {
            let setup = Setup::new(shape(&[6, 22, 6, 4], layout), 1.0, 2.0)
                .with_dtype(dtype)
                .with_activation(Activation::Relu, Order::Post)
                .with_residual()
                .with_ghost_batch(4);
            check_traversal(&setup, context, in_runs(runs))?;
        }
    }
    Ok(())
}

/// Few channels in many small tiles: each lane merges as many records as it ever does.
fn many_records_a_channel(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let setup = Setup::new(shape(&[40, 2, 50, 50], layout), 1e3, 1.0);
        let schedule = Schedule { workgroup: Some(4), unroll: Some(1), tiles: Some(100_000), ..in_runs(1) };
        check_traversal(&setup, context, schedule)?;
    }
    Ok(())
}
