//! What each kind of device wants of a tile.

use super::cost;
use super::part::Part;
use super::schedule::Schedule;
use super::tile::{CACHE_LINE, pow2_at_least};
use super::traits::DeviceKind;
use super::view::View;
use super::work::{Coefficients, Monoid, Work};

/// Copies of a loop's body: more only make shaders that take long to compile.
pub(super) const MOST_UNROLLED: u32 = 64;

/// Strips of a lane: more take more registers than there are.
const MOST_STRIPS: u32 = 8;

/// What a kind of device wants, where the shape allows it.
pub(super) struct Wishes {
    /// Lanes of a workgroup.
    pub(super) workgroup: u32,
    /// The same at most where the channels come last, so that no lanes share one.
    widest: u32,
    /// Lane channels of a lane, at most, where the channels come last.
    most_strips: u32,
    /// Loads in flight.
    pub(super) unroll: u32,
    /// Fewer workgroups leave it idle.
    pub(super) least_tiles: u64,
    /// Lanes of a reduction in all: fewer leave it idle.
    pub(super) least_lanes: u64,
    /// Lanes that a workgroup may have beyond [`Self::workgroup`] to come to these: none where its number is given.
    pub(super) most_lanes: u32,
    /// More workgroups cost more than they bring: each has to be begun, and leaves a record to merge.
    pub(super) most_tiles: u64,
}

impl Wishes {
    pub(super) fn of(kind: DeviceKind, work: Work, width: u32, schedule: &Schedule) -> Self {
        let widest = match (kind, work) {
            (DeviceKind::Cpu, Work::Reduce(_) | Work::Map(_) | Work::Pipelined(_)) => 32,
            _ => 0,
        };
        let (workgroup, unroll, least_tiles, most_tiles) = match (kind, work) {
            (DeviceKind::Gpu, Work::Reduce(_)) => (256, 8, 1024, 2048),
            (DeviceKind::Gpu, Work::Map(_)) => (256, 4, 1024, u64::MAX),
            (DeviceKind::Gpu, Work::Pipelined(_)) => (256, 4, 256, 2048),
            (DeviceKind::Gpu, Work::Whole(_)) => (256, 4, 0, u64::MAX),
            // A block's moments are merged with those before it, which costs as much as some values of the block.
            (DeviceKind::Cpu, Work::Reduce(Monoid::Moments)) if width == 1 => (8, 8, 64, 64),
            (DeviceKind::Cpu, Work::Reduce(_)) => (8, 4, 64, 64),
            (DeviceKind::Cpu, Work::Map(_)) => (8, 4, 64, 128),
            (DeviceKind::Cpu, Work::Pipelined(_)) => (8, 4, 64, 128),
            (DeviceKind::Cpu, Work::Whole(_)) => (8, 4, 0, u64::MAX),
        };
        let least_lanes = match kind {
            // Half of them wait for memory.
            DeviceKind::Gpu => 2 * cost::LANES as u64,
            // One lane after the other is full.
            DeviceKind::Cpu => 0,
        };
        // Lanes run one after the other, so that what a workgroup of many reads at first is not what lies side by side.
        let most_strips = match (kind, work) {
            _ if schedule.workgroup.is_some() => 1,
            (DeviceKind::Cpu, Work::Reduce(Monoid::Moments | Monoid::GradSums)) => MOST_STRIPS,
            (DeviceKind::Cpu, Work::Map(Coefficients::Few)) => MOST_STRIPS,
            _ => 1,
        };
        Self {
            most_strips,
            least_lanes,
            most_lanes: schedule.workgroup.map_or(u32::MAX, |_| 0),
            workgroup: schedule.workgroup.unwrap_or(workgroup).max(1),
            widest: if schedule.workgroup.is_some() { 0 } else { widest },
            unroll: schedule.unroll.map_or(unroll, |unroll| unroll.clamp(1, MOST_UNROLLED)),
            // Who asks for few tiles gets few.
            least_tiles: schedule.tiles.map_or(least_tiles, |tiles| least_tiles.min(tiles)),
            most_tiles: schedule.tiles.unwrap_or(most_tiles).max(1),
        }
    }

    /// The most strips of whole workgroups into which the channels of all parts fall.
    pub(super) fn strips(&self, view: &View, parts: &[Part]) -> u32 {
        let whole = |strips: &u32| {
            let lane_channels = u64::from(self.workgroup) * u64::from(*strips);
            parts.iter().all(|part| view.lane_channels_of(part).is_multiple_of(lane_channels))
        };
        if !view.is_channels_last() {
            return 1;
        }
        (1..=self.most_strips).rev().find(whole).unwrap_or(1)
    }

    /// Lanes along the channels, at least: what they read side by side should be a few whole lines of a cache. A power of two.
    pub(super) fn least_columns(&self, view: &View) -> u32 {
        let bytes = if self.least_lanes == 0 { 0 } else { 2 * CACHE_LINE };
        pow2_at_least(bytes / (view.vector() * view.element_bytes), 1 << 31)
    }

    /// Lanes of a workgroup, for so many lane channels.
    pub(super) fn lanes(&self, view: &View, channels: u64) -> u32 {
        let across = if view.is_channels_last() { pow2_at_least(channels, self.widest.max(1)) } else { 1 };
        self.workgroup.max(across)
    }
}
