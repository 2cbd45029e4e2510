//! What a plan costs on a graphics processor: the model by which one of several is chosen.
//!
//! Only differences count, so the figures are those of a middling device, to be replaced by measured ones: see
//! `benches/NOTES.md`. What the model leaves out (index arithmetic, vectors that are too short) is the same in all
//! plans of one shape.

use super::{Dispatch, Plan};

/// Seconds from the end of one dispatch to the full speed of the next.
const DISPATCH_SECONDS: f64 = 4e-6;

/// Bytes that a full device moves from or to memory in a second, and those that its shared cache gives.
const MEMORY_RATE: f64 = 1e12;
const CACHE_RATE: f64 = 3e12;

/// Invocations that are under way on a full device.
pub(super) const LANES: f64 = 65_536.0;

/// Seconds of a plan, by the model, where all processors share a cache of so many bytes.
pub(super) fn seconds(plan: &Plan, cache_bytes: u64) -> f64 {
    plan.dispatches.iter().map(|dispatch| of_dispatch(dispatch, cache_bytes as f64)).sum()
}

fn of_dispatch(dispatch: &Dispatch, cache_bytes: f64) -> f64 {
    let workgroups: f64 = dispatch.grid.iter().map(|&size| f64::from(size)).product();
    let lanes = workgroups * f64::from(dispatch.workgroup_size());
    // A device that is half full moves half as much.
    let share = (lanes / LANES).min(1.0);
    let [moved, reread] =
        [dispatch.moved, dispatch.reread].map(|elements| elements * dispatch.element_bytes as f64);
    let under_way = if dispatch.step.takes_runs() {
        // What is read again was read by the dispatch before, all of it.
        moved + reread
    } else {
        // The same workgroup reads again, so that only what those have counts that are under way.
        (moved + reread) * (LANES / lanes).min(1.0)
    };
    let misses = if under_way > cache_bytes { 1.0 - cache_bytes / under_way } else { 0.0 };
    let memory = (moved + reread * misses) / MEMORY_RATE;
    let cache = reread * (1.0 - misses) / CACHE_RATE;
    DISPATCH_SECONDS + (memory + cache) / share
}
