//! `normalize`: y = γ·x̂ + β.

use super::Step;
use crate::plan::{Dispatch, Kernel, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// `in_place`: y takes the place of x.
pub(crate) fn normalize(problem: &Problem<'_>, in_place: bool) -> Vec<Dispatch> {
    let traversal = problem.traverse(Work::Map);
    let mut resources = vec![Resource::X, Resource::Coefficients];
    let output = if in_place {
        OUTPUT_Y_OVER_X
    } else {
        resources.push(Resource::Y);
        OUTPUT_Y
    };
    let files = vec![
        PARAMS,
        TILE,
        traversal.tile.vector(),
        problem.view.file(),
        problem.subtract(),
        COEFFICIENTS,
        output,
        NORMALIZE,
    ];
    problem.over_tensors(&traversal, &Kernel { step: Step::Normalize, files, resources })
}
