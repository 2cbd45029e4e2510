//! `double_backward_apply`: the gradients of dy and x from the cotangent ddx of dx.

use super::Step;
use crate::mode::Source;
use crate::plan::{Dispatch, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

pub(crate) fn double_backward_apply(problem: &Problem<'_>, source: Source) -> Vec<Dispatch> {
    let walk = problem.traverse(Work::Map);
    let step = Step::DoubleBackwardApply;
    let mut kernel = problem.tensor_kernel(step, DOUBLE_BACKWARD_APPLY, &walk);
    problem.add_planes(&mut kernel, &walk, PLANES_SECOND, Resource::Coefficients);
    for file in [AFFINE, SECOND_PLANES, READ_X, READ_DY, READ_DDX] {
        kernel.file(file);
    }
    kernel.file(match source {
        Source::Batch => SECOND_ORDER_BATCH_STATISTICS,
        Source::Running | Source::Given => SECOND_ORDER_CONSTANT_STATISTICS,
    });
    kernel.bind(&[Resource::X, Resource::Dy, Resource::Ddx, Resource::GradDy, Resource::GradX]);
    problem.over_tensors(&walk, &kernel)
}
