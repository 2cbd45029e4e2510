//! `backward_apply`: dx = γ/σ·(dy − mean(dy) − x̂·mean(dy·x̂)), or γ/σ·dy with constant statistics; both
//! through the activation. dresidual on the way.

use super::Step;
use super::backward_reduce::add_epilogue;
use crate::elementwise::Activation;
use crate::mode::Source;
use crate::plan::{Dispatch, Pass, Problem, Wanted, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

pub(crate) fn backward_apply(problem: &Problem<'_>, pass: Pass, wanted: Wanted) -> Vec<Dispatch> {
    let traversal = problem.traverse(Work::Map);
    let mut kernel = problem.tensor_kernel(Step::BackwardApply, BACKWARD_APPLY, &traversal);
    problem.add_planes(&mut kernel, &traversal, PLANES_COEFFICIENTS, Resource::Coefficients);
    add_epilogue(problem, &mut kernel, pass);
    kernel.file(APPLY_TILE).file(APPLY_LOAD).file(READ_DY).bind(&[Resource::Dy]);
    let batch = pass.mode.source == Source::Batch;
    if batch {
        kernel.file(DX_BATCH_STATISTICS).file(MEANS_BATCH_STATISTICS);
    } else {
        kernel.file(DX_CONSTANT_STATISTICS).file(MEANS_CONSTANT_STATISTICS);
    }
    let reads_x = batch && wanted.dx || problem.options.activation != Activation::None;
    kernel.slot(reads_x, READ_X, &[Resource::X], READ_NO_X);
    if wanted.in_place {
        kernel.file(OUTPUT_DX_OVER_DY);
    } else {
        kernel.slot(wanted.dx, OUTPUT_DX, &[Resource::Dx], OUTPUT_NONE);
    }
    kernel.slot(wanted.dresidual, DRESIDUAL_WRITTEN, &[Resource::Dresidual], DRESIDUAL_DISCARDED);
    problem.over_tensors(&traversal, &kernel)
}

/// dx of the batch's mean and variance themselves: the same formula without a dy.
pub(crate) fn moments_backward_apply(problem: &Problem<'_>) -> Vec<Dispatch> {
    let traversal = problem.traverse(Work::Map);
    let mut kernel = problem.tensor_kernel(Step::BackwardApply, BACKWARD_APPLY, &traversal);
    problem.add_planes(&mut kernel, &traversal, PLANES_COEFFICIENTS, Resource::Coefficients);
    problem.add_activation(&mut kernel);
    for file in [APPLY_TILE, APPLY_LOAD, TAKEN_BACK, DX_BATCH_STATISTICS, MEANS_BATCH_STATISTICS] {
        kernel.file(file);
    }
    for file in [READ_X, READ_NO_DY, RESIDUAL_NONE, OUTPUT_DX, DRESIDUAL_DISCARDED] {
        kernel.file(file);
    }
    kernel.bind(&[Resource::X, Resource::Dx]);
    problem.over_tensors(&traversal, &kernel)
}
