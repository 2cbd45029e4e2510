//! `backward_apply`: dx = γ/σ·(dy − mean(dy) − x̂·mean(dy·x̂)), or γ/σ·dy with constant statistics; both
//! through the activation. dresidual on the way.

use super::Step;
use super::backward_reduce::add_epilogue;
use crate::elementwise::Activation;
use crate::mode::Source;
use crate::plan::{Coefficients, Dispatch, Kernel, Pass, Problem, Wanted, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

pub(crate) fn backward_apply(problem: &Problem<'_>, pass: Pass, wanted: Wanted) -> Vec<Dispatch> {
    let walk = problem.traverse(Work::Map(Coefficients::Few));
    let mut kernel = problem.tensor_kernel(Step::BackwardApply, BACKWARD_APPLY, &walk);
    problem.add_planes(&mut kernel, PLANES_COEFFICIENTS, Resource::Coefficients);
    add_epilogue(problem, &mut kernel, pass);
    let batch = pass.mode.source == Source::Batch;
    let reads_x = batch && wanted.dx || problem.options.activation != Activation::None;
    if reads_x {
        problem.add_read(&mut kernel, &[Resource::X]);
    } else {
        kernel.file(READ_NO_X);
    }
    if batch {
        kernel.file(DX_BATCH_STATISTICS).file(MEANS_BATCH_STATISTICS);
    } else {
        kernel.file(DX_CONSTANT_STATISTICS).file(MEANS_CONSTANT_STATISTICS);
    }
    add_gradients_of_tensors(problem, &mut kernel, wanted);
    problem.over_tensors(&walk, &kernel)
}

/// Adds dy, and what writes the gradients of a tile that are wanted, but for the formula.
pub(super) fn add_gradients_of_tensors(problem: &Problem<'_>, kernel: &mut Kernel, wanted: Wanted) {
    kernel.file(APPLY_TILE).file(APPLY_LOAD);
    if wanted.in_place {
        kernel.file(OUTPUT_DX_OVER_DY);
        problem.add_written(kernel, &[Resource::Dy]);
    } else {
        problem.add_read(kernel, &[Resource::Dy]);
        if wanted.dx {
            kernel.file(OUTPUT_DX);
            problem.add_written(kernel, &[Resource::Dx]);
        } else {
            kernel.file(OUTPUT_NONE);
        }
    }
    if wanted.dresidual {
        kernel.file(DRESIDUAL_WRITTEN);
        problem.add_written(kernel, &[Resource::Dresidual]);
    } else {
        kernel.file(DRESIDUAL_DISCARDED);
    }
}

/// dx of the batch's mean and variance themselves: the same formula without a dy.
pub(crate) fn moments_backward_apply(problem: &Problem<'_>) -> Vec<Dispatch> {
    let walk = problem.traverse(Work::Map(Coefficients::Few));
    let mut kernel = problem.tensor_kernel(Step::BackwardApply, BACKWARD_APPLY, &walk);
    problem.add_planes(&mut kernel, PLANES_COEFFICIENTS, Resource::Coefficients);
    problem.add_activation(&mut kernel);
    for file in [AFFINE, APPLY_TILE, APPLY_LOAD, TAKEN_BACK, DX_BATCH_STATISTICS, MEANS_BATCH_STATISTICS] {
        kernel.file(file);
    }
    for file in [READ_NO_DY, RESIDUAL_NONE, OUTPUT_DX, DRESIDUAL_DISCARDED] {
        kernel.file(file);
    }
    problem.add_read(&mut kernel, &[Resource::X]);
    problem.add_written(&mut kernel, &[Resource::Dx]);
    problem.over_tensors(&walk, &kernel)
}
