//! What a plan costs: the model by which one is chosen.

use super::{DeviceTraits, Plan};

/// The time of a plan, in units of one move.
pub(super) fn of(plan: &Plan, _device: &DeviceTraits) -> f64 {
    plan.moves() + plan.rereads()
}
