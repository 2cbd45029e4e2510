//! `normalize`: y = activation(γ·x̂ + β + residual).

use super::Step;
use crate::plan::{Coefficients, Dispatch, Kernel, Pass, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// `in_place`: y takes the place of x.
pub(crate) fn normalize(problem: &Problem<'_>, pass: Pass, in_place: bool) -> Vec<Dispatch> {
    let walk = problem.traverse(Work::Map(Coefficients::Few));
    let mut kernel = problem.tensor_kernel(Step::Normalize, NORMALIZE, &walk);
    problem.add_planes(&mut kernel, PLANES_SAVED, Resource::Saved);
    add_normalization(problem, &mut kernel, pass, in_place);
    problem.over_tensors(&walk, &kernel)
}

/// Adds what normalizes a tile, but for the coefficients.
pub(super) fn add_normalization(problem: &Problem<'_>, kernel: &mut Kernel, pass: Pass, in_place: bool) {
    kernel.file(AFFINE).file(NORMALIZE_TILE).file(NORMALIZE_LOAD);
    problem.add_activation(kernel);
    problem.add_residual(kernel, pass.residual);
    if in_place {
        kernel.file(OUTPUT_Y_OVER_X);
        problem.add_written(kernel, &[Resource::X]);
    } else {
        kernel.file(OUTPUT_Y);
        problem.add_read(kernel, &[Resource::X]);
        problem.add_written(kernel, &[Resource::Y]);
    }
}
