//! `backward_apply`: dx = γ/σ·(dy − mean(dy) − x̂·mean(dy·x̂)), or γ/σ·dy with constant statistics; both
//! through the activation. dresidual on the way.

use super::Step;
use super::backward_reduce::add_epilogue;
use crate::elementwise::Activation;
use crate::mode::Source;
use crate::plan::{Dispatch, Kernel, Pass, Problem, Wanted, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

pub(crate) fn backward_apply(problem: &Problem<'_>, pass: Pass, wanted: Wanted) -> Vec<Dispatch> {
    let walk = problem.traverse(Work::Map);
    let mut kernel = problem.tensor_kernel(Step::BackwardApply, BACKWARD_APPLY, &walk);
    problem.add_planes(&mut kernel, &walk, PLANES_COEFFICIENTS, Resource::Coefficients);
    add_epilogue(problem, &mut kernel, pass);
    let batch = pass.mode.source == Source::Batch;
    let reads_x = batch && wanted.dx || problem.options.activation != Activation::None;
    kernel.slot(reads_x, READ_X, &[Resource::X], READ_NO_X);
    kernel.file(READ_DY).bind(&[Resource::Dy]);
    if batch {
        kernel.file(DX_BATCH_STATISTICS).file(MEANS_BATCH_STATISTICS);
    } else {
        kernel.file(DX_CONSTANT_STATISTICS).file(MEANS_CONSTANT_STATISTICS);
    }
    add_outputs(&mut kernel, wanted);
    problem.over_tensors(&walk, &kernel)
}

/// Adds what writes the gradients of a tile that are wanted, but for the formula.
pub(super) fn add_outputs(kernel: &mut Kernel, wanted: Wanted) {
    kernel.file(APPLY_TILE).file(APPLY_LOAD);
    if wanted.in_place {
        kernel.file(OUTPUT_DX_OVER_DY);
    } else {
        kernel.slot(wanted.dx, OUTPUT_DX, &[Resource::Dx], OUTPUT_NONE);
    }
    kernel.slot(wanted.dresidual, DRESIDUAL_WRITTEN, &[Resource::Dresidual], DRESIDUAL_DISCARDED);
}

/// dx of the batch's mean and variance themselves: the same formula without a dy.
pub(crate) fn moments_backward_apply(problem: &Problem<'_>) -> Vec<Dispatch> {
    let walk = problem.traverse(Work::Map);
    let mut kernel = problem.tensor_kernel(Step::BackwardApply, BACKWARD_APPLY, &walk);
    problem.add_planes(&mut kernel, &walk, PLANES_COEFFICIENTS, Resource::Coefficients);
    problem.add_activation(&mut kernel);
    for file in [AFFINE, APPLY_TILE, APPLY_LOAD, TAKEN_BACK, DX_BATCH_STATISTICS, MEANS_BATCH_STATISTICS] {
        kernel.file(file);
    }
    for file in [READ_X, READ_NO_DY, RESIDUAL_NONE, OUTPUT_DX, DRESIDUAL_DISCARDED] {
        kernel.file(file);
    }
    kernel.bind(&[Resource::X, Resource::Dx]);
    problem.over_tensors(&walk, &kernel)
}
