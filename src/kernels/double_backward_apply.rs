//! `double_backward_apply`: the gradients of dy and x from the cotangent ddx of dx.

use super::Step;
use crate::mode::Source;
use crate::plan::{Coefficients, Dispatch, Problem, Work};
use crate::resource::Resource;
use crate::shader::parts::*;

pub(crate) fn double_backward_apply(problem: &Problem<'_>, source: Source) -> Vec<Dispatch> {
    let walk = problem.traverse(Work::Map(Coefficients::Many));
    let step = Step::DoubleBackwardApply;
    let mut kernel = problem.tensor_kernel(step, DOUBLE_BACKWARD_APPLY, &walk);
    problem.add_planes(&mut kernel, PLANES_SECOND, Resource::Coefficients);
    kernel.file(AFFINE).file(SECOND_PLANES).file(match source {
        Source::Batch => SECOND_ORDER_BATCH_STATISTICS,
        Source::Running | Source::Given => SECOND_ORDER_CONSTANT_STATISTICS,
    });
    problem.add_read(&mut kernel, &[Resource::X, Resource::Dy, Resource::Ddx]);
    problem.add_written(&mut kernel, &[Resource::GradDy, Resource::GradX]);
    problem.over_tensors(&walk, &kernel)
}
