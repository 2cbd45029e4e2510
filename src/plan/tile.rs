//! How the lanes of a workgroup share the work: the numbers that shape a kernel.

use super::part::Part;
use super::schedule::{Schedule, Unsuited};
use super::traits::{DeviceKind, DeviceTraits};
use super::view::View;
use super::wishes::{MOST_UNROLLED, Wishes};
use super::work::{Kept, Monoid, Whole, Work};
use crate::shader::parts::{self, Part as File};

/// A tile is what one workgroup handles: `strips · columns` lane channels by `rows · unroll · blocks` positions.
///
/// Of each of its strips, a lane loads `unroll` vectors of `width` elements before it uses the first, `blocks` times
/// over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    /// Lanes side by side along the channels, a power of two.
    pub(crate) columns: u32,
    /// Lane channels that each lane has, `columns` apart.
    pub(crate) strips: u32,
    /// Lanes along the positions (or records), a power of two.
    pub(crate) rows: u32,
    /// Loads in flight.
    pub(crate) unroll: u32,
    /// How often the loads are repeated.
    pub(crate) blocks: u32,
    /// Elements of one load: 1, 2 or 4.
    pub(crate) width: u32,
    /// Groups that a step per channel goes through; a number of the kernel, since nearly always it is one, and a
    /// loop with barriers costs.
    pub(crate) groups: u32,
}

/// Bytes of the tensor for one byte of scratch memory, at least, as far as a tile can be as large.
const LEAST_REDUCTION: u64 = 100;

/// Records that each lane merges by itself.
const MOST_MERGED_ALONE: u64 = 64;

/// Rows of one channel that a tile of a step that writes may span.
const MOST_ROWS: u64 = 4;

impl Tile {
    /// lavapipe leaves all loops of an invocation, silently, after 65,535 iterations.
    pub(crate) const MOST_BLOCKS: u32 = 1 << 15;

    /// The tile for the parts of a tensor, before it is known how many records the workspace holds.
    pub(crate) fn for_parts(
        view: &View,
        parts: &[Part],
        device: &DeviceTraits,
        work: Work,
        (schedule, runs): (&Schedule, u64),
    ) -> Self {
        let wishes = Wishes::of(device.kind, work, view.width(), schedule);
        let width = view.width();
        let mut tile =
            Self { columns: 1, strips: 1, rows: 1, unroll: wishes.unroll, blocks: 1, width, groups: 1 };
        let Some(part) = parts.iter().max_by_key(|part| part.size) else { return tile };
        tile.strips = wishes.strips(view, parts);
        // What lies side by side is read and written before what lies behind it.
        if tile.strips > 1 && matches!(work, Work::Map(_)) && schedule.unroll.is_none() {
            tile.unroll = 1;
        }
        let (channels, positions) = (view.lane_channels_of(part), view.positions_of(part).0);
        // Of a pipelined kernel, one run of channels is to fill the device.
        let channels = if matches!(work, Work::Pipelined(_)) { channels.div_ceil(runs) } else { channels };
        let groups = part.groups.end - part.groups.start;
        let lane_bytes = work.monoid().map_or(1, |monoid| monoid.lane_bytes(view.channels_per_lane()));
        let side_by_side = lie_side_by_side(view, device);
        let lanes = if tile.strips > 1 { wishes.workgroup } else { wishes.lanes(view, channels) };
        let lanes = lanes_within(lanes, lane_bytes, device);
        // Each tile that a pipelined kernel writes merges all of its channel's records.
        let most_merged = if matches!(work, Work::Pipelined(_)) { MOST_MERGED_ALONE } else { u64::MAX };
        let most_splits =
            work.monoid().map(|monoid| most_records(view, part, device, monoid, channels).min(most_merged));
        let most_lanes = lanes_within(wishes.most_lanes, lane_bytes, device).max(lanes);
        let least_columns = wishes.least_columns(view).min(lanes);
        // Lanes along the channels and along the positions.
        let workgroup = |unroll: u32| {
            let loads = positions.div_ceil(u64::from(unroll));
            if !side_by_side {
                let rows = pow2_at_least(loads, lanes);
                return (pow2_at_least(channels, lanes / rows), rows);
            }
            let channels = channels / u64::from(tile.strips);
            // Few records a channel leave few lanes along the channels: then as many along the positions as fill the device.
            let rows =
                most_splits.map_or(1, |splits| wishes.least_lanes.div_ceil(channels * groups * splits));
            let rows = pow2_at_least(rows.min(loads), most_lanes / least_columns);
            let columns = pow2_at_least(channels, (lanes / rows).max(least_columns));
            (columns, pow2_at_least(loads, (lanes / columns).max(rows)))
        };
        loop {
            (tile.columns, tile.rows) = workgroup(tile.unroll);
            if tile.unroll == 1 || groups * tile.count(positions, channels) >= wishes.least_tiles {
                break;
            }
            // Fewer loads in flight are to bring more tiles, or more lanes in them.
            let (_, rows) = workgroup(tile.unroll / 2);
            if rows == tile.rows && most_splits.is_some_and(|most| tile.count(positions, 1) >= most) {
                break;
            }
            tile.unroll /= 2;
        }
        // Several blocks a tile rather than too many tiles, and no more than the positions fill.
        let splits = (wishes.most_tiles / (groups * channels.div_ceil(tile.lane_channels()))).max(1);
        // The rows of a channel lie apart. What is written should not touch many of them in a row, but
        // come back to a cache line's other channel soon.
        let splits = match work {
            Work::Map(_) if !side_by_side => {
                splits.max(positions.div_ceil(MOST_ROWS * view.row_length_of(part)))
            }
            _ => splits,
        };
        let splits = splits.min(most_splits.unwrap_or(u64::MAX));
        let blocks = positions.div_ceil(splits.min(positions)).div_ceil(tile.positions());
        tile.blocks = few_values(blocks);
        tile
    }

    /// The tile with which a workgroup has all values of its channels, which it keeps as `whole` says.
    pub(crate) fn whole(
        view: &View,
        part: &Part,
        device: &DeviceTraits,
        whole: Whole,
        schedule: &Schedule,
    ) -> Result<Self, Unsuited> {
        let Whole { monoid, kept, tensors } = whole;
        let wishes = Wishes::of(device.kind, Work::Whole(whole), view.width(), schedule);
        let (width, channels) = (view.width(), view.lane_channels_of(part));
        let positions = view.positions_of(part).0.max(view.positions_of(part).1);
        let lane_bytes = monoid.lane_bytes(view.channels_per_lane());
        let limit = device.max_compute_invocations_per_workgroup;
        let most_lanes = lanes_within(limit, lane_bytes, device);
        let most_loads = match kept {
            Kept::InRegisters => {
                let load_words = (u64::from(width) * view.element_bytes).div_ceil(super::WORD_BYTES);
                (MOST_KEPT_WORDS / (load_words * tensors)).clamp(1, u64::from(MOST_UNROLLED))
            }
            Kept::InCache => u64::from(wishes.unroll) * u64::from(Self::MOST_REVISITED_BLOCKS),
        };
        let most_positions = u64::from(most_lanes) * most_loads;
        if positions > most_positions {
            let groups = part.groups.end - part.groups.start;
            let actual = (part.elements() / (channels * view.channels_per_lane())).div_ceil(groups);
            let max = actual * most_positions / positions;
            return Err(match kept {
                Kept::InRegisters => Unsuited::Registers { actual, max },
                Kept::InCache => Unsuited::Values { actual, max },
            });
        }
        let least_rows = pow2_at_least(positions.div_ceil(most_loads), most_lanes);
        let wish = (1 << wishes.workgroup.ilog2()).clamp(least_rows, most_lanes);
        // Channels side by side fill a cache line.
        let line = if lie_side_by_side(view, device) {
            (CACHE_LINE / (view.vector() * view.element_bytes)).max(1)
        } else {
            1
        };
        let columns = pow2_at_least(channels.min(line), most_lanes / least_rows);
        let rows = pow2_at_least(positions, (wish / columns).max(least_rows)).max(least_rows);
        let columns = columns.max(pow2_at_least(channels, wish / rows));
        let loads = u32::try_from(positions.div_ceil(u64::from(rows))).unwrap_or(u32::MAX);
        let (unroll, blocks) = match kept {
            Kept::InRegisters => (loads, 1),
            Kept::InCache => {
                let unroll = wishes.unroll.min(loads.next_power_of_two());
                (unroll, few_values(u64::from(loads.div_ceil(unroll))))
            }
        };
        Ok(Self { columns, strips: 1, rows, unroll, blocks, width, groups: 1 })
    }

    /// Both loops of a workgroup that reads its values twice stay below what lavapipe counts.
    const MOST_REVISITED_BLOCKS: u32 = 1 << 14;

    /// Tiles that cover so many positions of so many lane channels.
    pub(crate) fn count(&self, positions: u64, channels: u64) -> u64 {
        positions.div_ceil(self.positions()) * channels.div_ceil(self.lane_channels())
    }

    /// The tile that merges `records` for each of `channels`, one channel a column.
    pub(crate) fn per_channel(records: u64, channels: u64, device: &DeviceTraits) -> Self {
        let wish = match device.kind {
            DeviceKind::Gpu => 256,
            DeviceKind::Cpu => 64,
        };
        let lanes = lanes_within(wish, Monoid::DoubleGradSums.bytes() as u32, device);
        let rows = pow2_at_least(records, lanes);
        Self {
            columns: pow2_at_least(channels, lanes / rows),
            strips: 1,
            rows,
            unroll: 1,
            blocks: 1,
            width: 1,
            groups: 1,
        }
    }

    /// Lane channels of a tile.
    pub(crate) fn lane_channels(&self) -> u64 {
        u64::from(self.columns) * u64::from(self.strips)
    }

    /// Positions of a tile.
    pub(crate) fn positions(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.unroll) * u64::from(self.blocks)
    }

    /// Invocations of a workgroup.
    pub(crate) fn lanes(&self) -> u32 {
        self.rows * self.columns
    }

    /// The header of the composed shader.
    pub(crate) fn constants(&self) -> Vec<(&'static str, u32)> {
        vec![
            ("WORKGROUP", self.lanes()),
            ("COLUMNS", self.columns),
            ("STRIPS", self.strips),
            ("ROWS", self.rows),
            ("REDUCTION_STEPS", self.rows.trailing_zeros()),
            ("UNROLL", self.unroll),
            ("WIDTH", self.width),
            ("BLOCKS", self.blocks),
            ("GROUPS", self.groups),
            ("TILE", self.rows * self.unroll * self.blocks),
        ]
    }

    /// The file for the slot `vector`.
    pub(crate) fn vector(&self) -> File {
        match self.width {
            4 => parts::VECTOR_4,
            2 => parts::VECTOR_2,
            _ => parts::VECTOR_1,
        }
    }

    /// The file for the slot `reduction`.
    pub(crate) fn reduction(&self) -> File {
        if self.rows == 1 { parts::REDUCTION_NONE } else { parts::REDUCTION_TREE }
    }
}

/// Words that a lane keeps in registers between reducing and writing: with 1,024 lanes they take half of what a
/// graphics processor has for a workgroup. A software adapter has no such limit, but compiles longer unrolled kernels
/// for seconds.
const MOST_KEPT_WORDS: u64 = 32;

/// Bytes that memory brings at once.
pub(super) const CACHE_LINE: u64 = 64;

/// Elements of an odd row that CPU adapters are better off to go along.
pub(super) const LONG_ROW: u64 = 256;

/// Whether lanes go along the channels first. They go along the contiguous axis; but a CPU adapter loads lane by lane,
/// and where rows are odd and short, a channel for each lane leaves nothing to merge and each lane in its own cache line.
fn lie_side_by_side(view: &View, device: &DeviceTraits) -> bool {
    view.is_channels_last() || device.kind == DeviceKind::Cpu && view.is_odd() && view.row < LONG_ROW
}

/// Records for each channel and group of `part`, at most, of which `channels` lane channels are reduced at once: scratch
/// memory is to be small beside what it stands for.
fn most_records(view: &View, part: &Part, device: &DeviceTraits, monoid: Monoid, channels: u64) -> u64 {
    let groups = part.groups.end - part.groups.start;
    let values = view.positions_of(part).0 * view.vector() / view.channels_per_lane();
    // Loads across odd rows bring more than there is.
    let bytes = part.size / (view.lane_channels_of(part) * view.channels_per_lane() * groups).max(1);
    let scratch = bytes.min(values * view.element_bytes) / LEAST_REDUCTION;
    // Records begin where a binding may, after the coefficients, and so does what follows them.
    let gaps = 2 * u64::from(device.min_storage_buffer_offset_alignment);
    let others = monoid.coefficient_bytes() + gaps.div_ceil(channels * view.channels_per_lane());
    (scratch.saturating_sub(others) / monoid.bytes()).max(1)
}

/// The largest power of two of lanes that the device allows, `wish` at most.
fn lanes_within(wish: u32, lane_bytes: u32, device: &DeviceTraits) -> u32 {
    let limit = device
        .max_compute_invocations_per_workgroup
        .min(device.max_compute_workgroup_storage_size / lane_bytes)
        .min(wish)
        .max(1);
    1 << limit.ilog2()
}

/// The least power of two that is `wanted` or more, but not above the power of two `most`.
pub(super) fn pow2_at_least(wanted: u64, most: u32) -> u32 {
    u32::try_from(wanted.min(u64::from(most))).unwrap_or(most).next_power_of_two().min(most)
}

/// At least `blocks`, with four significant bits: one number serves many shapes, and so do the shaders
/// that are made for it.
fn few_values(blocks: u64) -> u32 {
    let blocks = u32::try_from(blocks).unwrap_or(u32::MAX).min(Tile::MOST_BLOCKS);
    let step = 1 << blocks.max(8).ilog2().saturating_sub(3);
    blocks.next_multiple_of(step)
}
