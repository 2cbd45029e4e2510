//! `normalize`: y = activation(γ·x̂ + β + residual).

use super::Step;
use crate::plan::{Dispatch, Pass, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// `in_place`: y takes the place of x.
pub(crate) fn normalize(problem: &Problem<'_>, pass: Pass, in_place: bool) -> Vec<Dispatch> {
    let traversal = problem.traverse(Work::Map);
    let mut kernel = problem.tensor_kernel(Step::Normalize, NORMALIZE, &traversal);
    problem.add_planes(&mut kernel, &traversal, PLANES_SAVED, Resource::Saved);
    problem.add_activation(&mut kernel);
    kernel.file(NORMALIZE_TILE).file(NORMALIZE_LOAD).file(READ_X).bind(&[Resource::X]);
    kernel.slot(pass.residual, RESIDUAL_ADDED, &[Resource::Residual], RESIDUAL_NONE);
    kernel.slot(!in_place, OUTPUT_Y, &[Resource::Y], OUTPUT_Y_OVER_X);
    problem.over_tensors(&traversal, &kernel)
}
