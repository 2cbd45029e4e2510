//! `backward_apply`: dx = γ/σ·(dy − mean(dy) − x̂·mean(dy·x̂)), or γ/σ·dy with constant statistics.

use super::Step;
use crate::options::{Mode, Source};
use crate::plan::{Dispatch, Kernel, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

/// `in_place`: dx takes the place of dy.
pub(crate) fn backward_apply(problem: &Problem<'_>, mode: Mode, in_place: bool) -> Vec<Dispatch> {
    let traversal = problem.traverse(Work::Map);
    let mut resources = vec![Resource::Dy, Resource::Coefficients];
    let formula = match mode.source {
        Source::Batch => {
            resources.push(Resource::X);
            DX_BATCH_STATISTICS
        }
        Source::Running | Source::Given => DX_CONSTANT_STATISTICS,
    };
    let output = if in_place {
        OUTPUT_DX_OVER_DY
    } else {
        resources.push(Resource::Dx);
        OUTPUT_DX
    };
    let files = vec![
        PARAMS,
        TILE,
        traversal.tile.vector(),
        problem.view.file(),
        problem.subtract(),
        COEFFICIENTS,
        formula,
        output,
        BACKWARD_APPLY,
    ];
    problem.over_tensors(&traversal, &Kernel { step: Step::BackwardApply, files, resources })
}
