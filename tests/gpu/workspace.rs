//! `BatchNorm::workspace_bytes` is enough for whatever a layer runs on a shape.

use crate::Test;
use crate::subject::{DTYPES, LAYOUTS, SIZES, shape, with_limits};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::Limits;
use wgpu_batchnorm::{
    Accumulation, BatchNorm, BatchNormError, Context, Mode, Operation, Options, Pass, Source, Wanted,
};

pub(crate) const TESTS: &[Test] = &[("it_is_enough_for_every_operation", it_is_enough_for_every_operation)];

/// All operations of a pass.
fn operations(pass: Pass) -> Vec<Operation> {
    let gradient = Some(Accumulation::Add);
    let all = Wanted {
        dx: true,
        dresidual: pass.residual,
        dweight: gradient,
        dbias: gradient,
        ..Wanted::default()
    };
    let dstatistics = pass.mode.source == Source::Given;
    let mut operations = vec![
        Operation::Forward { pass, in_place: false },
        Operation::Forward { pass, in_place: true },
        Operation::Backward { pass, wanted: Wanted { dstatistics, ..all } },
        Operation::Backward { pass, wanted: Wanted { dx: true, ..Wanted::default() } },
        Operation::Backward { pass, wanted: Wanted { dweight: gradient, ..Wanted::default() } },
        Operation::DoubleBackward { pass, ddweight: true, ddbias: true, grad_weight: true },
        Operation::Fold,
    ];
    if pass.mode.source == Source::Batch {
        operations.extend([Operation::Statistics { pass }, Operation::MomentsBackward { mask: pass.mask }]);
    }
    operations
}

fn check(context: &Context, sizes: &[usize]) -> Result<(), Failed> {
    for (dtype, layout) in DTYPES.into_iter().flat_map(|dtype| LAYOUTS.map(|layout| (dtype, layout))) {
        for ghost_batch in [None, Some(2), Some(3)] {
            let shape = shape(sizes, layout);
            let options = Options { dtype, ghost_batch, ..Options::new(shape.channels()) };
            let batch_norm = BatchNorm::new(context, options)?;
            let enough = batch_norm.workspace_bytes(&shape)?;
            for source in [Source::Batch, Source::Running, Source::Given] {
                for choice in 0..8 {
                    let [update, residual, mask] = [0, 1, 2].map(|bit| choice >> bit & 1 == 1);
                    let pass = Pass { mode: Mode { source, update }, residual, mask };
                    for operation in operations(pass) {
                        let bytes = match batch_norm.plan(&shape, operation) {
                            Ok(plan) => plan.workspace_bytes(),
                            Err(BatchNormError::OneValuePerGhostBatch { .. }) => continue,
                            Err(error) => return Err(format!("{operation:?}: {error}").into()),
                        };
                        if bytes > enough {
                            return Err(format!(
                                "{shape} {options:?} {operation:?} needs {bytes} bytes, expected at most {enough}"
                            )
                            .into());
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

fn it_is_enough_for_every_operation(context: &Context) -> Result<(), Failed> {
    SIZES.iter().try_for_each(|sizes| check(context, sizes))?;
    let limits =
        Limits { max_storage_buffer_binding_size: 64 << 10, max_buffer_size: 16 << 20, ..Limits::defaults() };
    let small = with_limits(limits)?;
    let sizes: &[&[usize]] = &[&[50, 6, 33, 10], &[7, 20, 31, 33], &[7, 3, 8_001], &[600, 3], &[9, 65, 5]];
    sizes.iter().try_for_each(|sizes| check(&small, sizes))
}
