//! The same steps with kernels that do several of them.

use super::Setup;
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    Accumulation, BatchNorm, BatchNormError, Context, Mode, Operation, Pass, Plan, PlanError, Schedule,
    Traversal, Wanted,
};

/// Forward and backward pass of a setup, as the tests ask for them.
pub(crate) fn operations(setup: &Setup) -> [Operation; 2] {
    let pass = Pass { mode: setup.mode, residual: setup.residual.is_some(), mask: setup.mask.is_some() };
    let sum = |given: bool| given.then_some(Accumulation::Replace);
    let wanted = Wanted {
        dx: true,
        dresidual: pass.residual,
        dweight: sum(setup.options.weight),
        dbias: sum(setup.options.bias),
        ..Wanted::default()
    };
    let backward = Pass { mode: Mode { update: false, ..setup.mode }, ..pass };
    [Operation::Forward { pass, in_place: false }, Operation::Backward { pass: backward, wanted }]
}

/// The plans of both passes by `schedule`; none if its traversal does not apply to one of them.
pub(crate) fn plans(
    setup: &Setup,
    context: &Context,
    schedule: Schedule,
) -> Result<Option<[Plan; 2]>, Failed> {
    let layer = BatchNorm::new(&context.with_schedule(schedule), setup.options)?;
    let [forward, backward] = operations(setup).map(|operation| layer.plan(&setup.shape, operation));
    match (forward, backward) {
        (Err(BatchNormError::Plan(PlanError::Traversal { .. })), _)
        | (_, Err(BatchNormError::Plan(PlanError::Traversal { .. }))) => Ok(None),
        (forward, backward) => Ok(Some([forward?, backward?])),
    }
}

/// Compares with the reference what the setup gives in one traversal, which must apply and move each tensor once.
pub(crate) fn check(setup: &Setup, context: &Context, schedule: Schedule) -> Result<(), Failed> {
    let traversal = schedule.traversal.unwrap_or(Traversal::Split);
    let described = format!("{} {traversal}", setup.shape);
    let Some(plans) = plans(setup, context, schedule)? else {
        return Err(format!("{described}: does not apply").into());
    };
    let extra = f64::from(u8::from(setup.residual.is_some()));
    let [forward, backward] = plans.map(|plan| (plan.traversal(), plan.moves().round()));
    if forward != (Some(traversal), 2.0 + extra) || backward.0 != Some(traversal) || backward.1 < 3.0 {
        return Err(format!("{described}: {forward:?} and {backward:?} are planned").into());
    }
    setup
        .check(&context.with_schedule(schedule))
        .map_err(|error| format!("{described}: {}", error.message().unwrap_or_default()).into())
}
