//! `normalize`: y = activation(γ·x̂ + β + residual).

use super::Step;
use crate::plan::{Dispatch, Kernel, Pass, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// `in_place`: y takes the place of x.
pub(crate) fn normalize(problem: &Problem<'_>, pass: Pass, in_place: bool) -> Vec<Dispatch> {
    let walk = problem.traverse(Work::Map);
    let mut kernel = problem.tensor_kernel(Step::Normalize, NORMALIZE, &walk);
    problem.add_planes(&mut kernel, &walk, PLANES_SAVED, Resource::Saved);
    add_normalization(problem, &mut kernel, pass, in_place);
    problem.over_tensors(&walk, &kernel)
}

/// Adds what normalizes a tile, but for the coefficients.
pub(super) fn add_normalization(problem: &Problem<'_>, kernel: &mut Kernel, pass: Pass, in_place: bool) {
    kernel.file(AFFINE).file(NORMALIZE_TILE).file(NORMALIZE_LOAD);
    problem.add_activation(kernel);
    kernel.file(READ_X).bind(&[Resource::X]);
    kernel.slot(pass.residual, RESIDUAL_ADDED, &[Resource::Residual], RESIDUAL_NONE);
    kernel.slot(!in_place, OUTPUT_Y, &[Resource::Y], OUTPUT_Y_OVER_X);
}
