//! What each kind of device wants of a tile.

use super::part::Part;
use super::schedule::Schedule;
use super::tile::pow2_at_least;
use super::traits::DeviceKind;
use super::view::View;
use super::work::{Coefficients, Monoid, Work};

/// Copies of a loop's body: more only make shaders that take long to compile.
pub(super) const MOST_UNROLLED: u32 = 64;

/// Strips of a lane: more take more registers than there are.
const MOST_STRIPS: u32 = 8;

/// Lanes that keep the memory of a large graphics processor busy, with some loads of 16 bytes in flight each: 132
/// multiprocessors of an H200, with half of the 2,048 lanes that each has room for.
const FULL_LANES: u64 = 132 * 1024;

/// Bytes that neighbouring lanes read at least, side by side.
const CACHE_LINES: u64 = 128;

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
    /// Lanes of a reduction in all: with fewer, lanes that lie side by side along the channels are to be so along the
    /// positions.
    least_lanes: u64,
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
            DeviceKind::Gpu => FULL_LANES,
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

    /// Lanes along the channels of a workgroup of so many lanes, where `channels` lane channels that come last are reduced,
    /// each in so many splits: as many as there are, as long as all lanes together fill the device. What a lane and those
    /// beside it read should still be a few whole lines of a cache.
    pub(super) fn columns(&self, view: &View, channels: u64, splits: u64, lanes: u32) -> u32 {
        let lane_bytes = view.vector() * view.element_bytes;
        let line = pow2_at_least(CACHE_LINES.div_ceil(lane_bytes), lanes);
        let rows = pow2_at_least(self.least_lanes.div_ceil(channels * splits), lanes / line);
        pow2_at_least(channels, lanes / rows)
    }

    /// Lanes of a workgroup, for so many lane channels.
    pub(super) fn lanes(&self, view: &View, channels: u64) -> u32 {
        let across = if view.is_channels_last() { pow2_at_least(channels, self.widest.max(1)) } else { 1 };
        self.workgroup.max(across)
    }
}
