//! What a plan costs: the model by which one of several is chosen.
//!
//! Only differences count, so the figures are those of a middling device of each kind; where they come from is in
//! `benches/NOTES.md`. What the model leaves out (index arithmetic, vectors that are too short) is the same in all
//! plans of one shape.

use super::traits::DeviceKind;
use super::{Dispatch, Plan};

/// What the model knows of a kind of device.
struct Machine {
    /// Seconds from the end of one dispatch to the full speed of the next.
    dispatch_seconds: f64,
    /// Elements of four bytes that a full device moves from or to memory in a second.
    moved_per_second: f64,
    /// The same for what a cache has.
    reread_per_second: f64,
    /// The same for what registers have: a processor that emulates them computes as long as it would load.
    kept_per_second: f64,
    /// Invocations that are under way on a full device.
    lanes: f64,
}

fn machine(kind: DeviceKind) -> Machine {
    match kind {
        DeviceKind::Gpu => Machine {
            dispatch_seconds: 4e-6,
            moved_per_second: 2.5e11,
            reread_per_second: 7.5e11,
            kept_per_second: f64::INFINITY,
            lanes: 65_536.0,
        },
        // Every access is emulated lane by lane, and costs about the same wherever the data are; kernels that do more
        // than one step cost more than their accesses. A dispatch fewer would pay for small tensors, but a kernel of
        // several steps is compiled for nearly every shape anew, and compiling takes these adapters longest.
        DeviceKind::Cpu => Machine {
            dispatch_seconds: 0.0,
            moved_per_second: 7e8,
            reread_per_second: 3.5e8,
            kept_per_second: 2.3e8,
            lanes: 16.0,
        },
    }
}

/// Seconds of a plan, by the model, where all processors share a cache of so many bytes.
pub(super) fn seconds(plan: &Plan, kind: DeviceKind, cache_bytes: u64) -> f64 {
    let machine = machine(kind);
    plan.dispatches.iter().map(|dispatch| of_dispatch(dispatch, &machine, cache_bytes as f64)).sum()
}

fn of_dispatch(dispatch: &Dispatch, machine: &Machine, cache_bytes: f64) -> f64 {
    let workgroups: f64 = dispatch.grid.iter().map(|&size| f64::from(size)).product();
    let lanes = workgroups * f64::from(dispatch.workgroup_size());
    // A device that is half full moves half as much.
    let share = (lanes / machine.lanes).min(1.0);
    // What does not stay in the cache until it is read again comes from memory.
    let element_bytes = dispatch.element_bytes as f64;
    let (moved, reread) = (dispatch.moved * element_bytes / 4.0, dispatch.reread * element_bytes / 4.0);
    let under_way = dispatch.moved * element_bytes * (machine.lanes / lanes).min(1.0);
    let misses = if under_way > cache_bytes { 1.0 - cache_bytes / under_way } else { 0.0 };
    let memory = (moved + reread * misses) / machine.moved_per_second;
    let cache = reread * (1.0 - misses) / machine.reread_per_second;
    let registers = dispatch.kept * element_bytes / 4.0 / machine.kept_per_second;
    machine.dispatch_seconds + (memory + cache + registers) / share
}
