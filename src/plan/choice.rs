//! Which traversal a pass takes, where there is a choice and a schedule leaves it open.

use super::error::PlanError;
use super::operation::Operation;
use super::problem::Problem;
use super::schedule::Traversal;
use super::tile::LONG_ROW;
use super::traits::DeviceKind;
use super::{Dispatch, Plan, WORD_BYTES, cost};
use crate::shape::Shape;

/// Workgroups that a CPU adapter should have to share out, before one has all values of its channels.
const LEAST_REVISITED: u64 = 32;

impl Plan {
    /// The plan of the traversal that is thought fastest on the kind of device.
    pub(super) fn chosen(
        problem: &Problem<'_>,
        shape: &Shape,
        operation: Operation,
    ) -> Result<Self, PlanError> {
        let split = Self::traversing(problem, shape, operation, Traversal::Split);
        match problem.device.kind {
            DeviceKind::Cpu if split.is_ok() => {
                let revisited = waits_for_memory(problem, operation)
                    .then(|| Self::traversing(problem, shape, operation, Traversal::Revisited));
                match revisited {
                    Some(Ok(plan)) if plan.workgroups() >= LEAST_REVISITED => Ok(plan),
                    _ => split,
                }
            }
            _ => Self::fastest(split, problem, shape, operation),
        }
    }

    /// `split`, or the plan of whichever other traversal the model thinks faster.
    fn fastest(
        split: Result<Self, PlanError>,
        problem: &Problem<'_>,
        shape: &Shape,
        operation: Operation,
    ) -> Result<Self, PlanError> {
        let cache_bytes = problem.schedule.shared_cache_bytes(problem.device);
        let seconds = |plan: &Self| cost::seconds(plan, cache_bytes);
        // A run costs a dispatch, which what the cache saves may not be worth.
        let in_one_run = Problem { runs: problem.schedule.runs.unwrap_or(1).max(1), ..problem.clone() };
        let mut best = split;
        for (problem, traversal) in [
            (problem, Traversal::Pipelined),
            (&in_one_run, Traversal::Pipelined),
            (problem, Traversal::Revisited),
            (problem, Traversal::Resident),
        ] {
            if let Ok(plan) = Self::traversing(problem, shape, operation, traversal)
                && !best.as_ref().is_ok_and(|best| seconds(best) <= seconds(&plan))
            {
                best = Ok(plan);
            }
        }
        best
    }

    /// Workgroups of all its dispatches.
    fn workgroups(&self) -> u64 {
        let of = |dispatch: &Dispatch| dispatch.grid.iter().map(|&size| u64::from(size)).product::<u64>();
        self.dispatches.iter().map(of).sum()
    }
}

/// Whether a CPU adapter waits for memory more than it computes: in short odd rows of whole words, of which a backward pass
/// reads two tensors twice, the second time better from a cache.
///
/// Elsewhere a dispatch costs such an adapter next to nothing and nearly every access the same wherever the data are, while
/// kernels of several steps are compiled for nearly every shape anew, which takes it longest.
fn waits_for_memory(problem: &Problem<'_>, operation: Operation) -> bool {
    let view = &problem.view;
    let has_short_odd_rows = view.has_odd_rows() && view.row < LONG_ROW;
    matches!(operation, Operation::Backward { .. }) && has_short_odd_rows && view.element_bytes == WORD_BYTES
}
