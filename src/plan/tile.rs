//! How the lanes of a workgroup share the work: the numbers that shape a kernel.

use super::part::Part;
use super::traits::{DeviceKind, DeviceTraits};
use super::view::View;
use crate::shader::parts::{self, Part as File};

/// What a dispatch does with the big tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Leaves a record for each channel, group and split.
    Reduce(Monoid),
    /// Writes a tensor.
    Map,
}

/// What a reduction leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Monoid {
    /// {count, carry, mean_hi, mean_lo, M2}
    Moments,
    /// {Σdy, Σdy·x̂}, each a pair.
    GradSums,
    /// {count, Σx̂, mean(dy), mean(ddx), Σdy'·ddx', Σdy'·x̂, Σddx'·x̂}, the last five as pairs.
    DoubleGradSums,
}

impl Monoid {
    /// Bytes of the record of one channel.
    pub(crate) fn bytes(self) -> u64 {
        super::WORD_BYTES
            * match self {
                Self::Moments => 5,
                Self::GradSums => 4,
                Self::DoubleGradSums => 12,
            }
    }

    /// Bytes that a lane of four channels keeps in workgroup memory: vectors, and counts that all share.
    fn lane_bytes(self) -> u32 {
        16 * match self {
            Self::Moments | Self::GradSums => 4,
            Self::DoubleGradSums => 12,
        }
    }
}

/// A tile is what one workgroup handles: `columns` lane channels by `rows · unroll · blocks` positions.
///
/// Each lane loads `unroll` vectors of `width` elements before it uses the first, `blocks` times over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    /// Lanes side by side along the channels, a power of two.
    pub(crate) columns: u32,
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

/// What a kind of device wants, where the shape allows it.
struct Wishes {
    /// Lanes of a workgroup.
    workgroup: u32,
    /// Loads in flight.
    unroll: u32,
    /// Fewer workgroups leave it idle.
    least_tiles: u64,
    /// More workgroups cost more than they bring: each has to be begun, and leaves a record to merge.
    most_tiles: u64,
}

fn wishes(kind: DeviceKind, work: Work) -> Wishes {
    let (workgroup, unroll, least_tiles, most_tiles) = match (kind, work) {
        (DeviceKind::Gpu, Work::Reduce(_)) => (256, 8, 1024, 2048),
        (DeviceKind::Gpu, Work::Map) => (256, 4, 1024, u64::MAX),
        (DeviceKind::Cpu, Work::Reduce(_)) => (8, 8, 64, 256),
        (DeviceKind::Cpu, Work::Map) => (16, 16, 64, 512),
    };
    Wishes { workgroup, unroll, least_tiles, most_tiles }
}

/// Rows of one channel that a tile of a step that writes may span.
const MOST_ROWS: u64 = 4;

impl Tile {
    /// lavapipe leaves all loops of an invocation, silently, after 65,535 iterations.
    pub(crate) const MOST_BLOCKS: u32 = 1 << 15;

    /// The tile for the parts of a tensor, before it is known how many records the workspace holds.
    pub(crate) fn for_parts(view: &View, parts: &[Part], device: &DeviceTraits, work: Work) -> Self {
        let wishes = wishes(device.kind, work);
        let width = view.width();
        let mut tile = Self { columns: 1, rows: 1, unroll: wishes.unroll, blocks: 1, width, groups: 1 };
        let Some(part) = parts.iter().max_by_key(|part| part.size) else { return tile };
        let (channels, positions) = (view.lane_channels_of(part), view.positions_of(part).0);
        let groups = part.groups.end - part.groups.start;
        let lane_bytes = match work {
            Work::Reduce(monoid) => monoid.lane_bytes(),
            Work::Map => 1,
        };
        let lanes = lanes(wishes.workgroup, lane_bytes, device);
        let useful_rows = |unroll: u32| pow2_at_least(positions.div_ceil(u64::from(unroll)), lanes);
        // Lanes go along the contiguous axis first. A CPU adapter loads lane by lane, though: where
        // rows are too odd for vectors, a channel for each lane leaves nothing to merge and each lane
        // in its own cache line.
        let side_by_side = view.is_channels_last() || device.kind == DeviceKind::Cpu && width == 1;
        loop {
            let rows = useful_rows(tile.unroll);
            (tile.columns, tile.rows) = if side_by_side {
                let columns = pow2_at_least(channels, lanes);
                (columns, rows.min(lanes / columns))
            } else {
                (pow2_at_least(channels, lanes / rows), rows)
            };
            if tile.unroll == 1 || groups * tile.count(positions, channels) >= wishes.least_tiles {
                break;
            }
            tile.unroll /= 2;
        }
        // Several blocks a tile rather than too many tiles, and no more than the positions fill.
        let splits = (wishes.most_tiles / (groups * channels.div_ceil(u64::from(tile.columns)))).max(1);
        // The rows of a channel lie apart. What is written should not touch many of them in a row, but
        // come back to a cache line's other channel soon.
        let splits = match work {
            Work::Map if !side_by_side && !view.is_flat() => {
                splits.max(positions.div_ceil(MOST_ROWS * view.row_length_of(part)))
            }
            _ => splits,
        };
        let blocks = positions.div_ceil(splits.min(positions)).div_ceil(tile.positions());
        tile.blocks = few_values(blocks);
        tile
    }

    /// Tiles that cover so many positions of so many lane channels.
    pub(crate) fn count(&self, positions: u64, channels: u64) -> u64 {
        positions.div_ceil(self.positions()) * channels.div_ceil(u64::from(self.columns))
    }

    /// The tile that merges `records` for each of `channels`, one channel a column.
    pub(crate) fn per_channel(records: u64, channels: u64, device: &DeviceTraits) -> Self {
        let wish = match device.kind {
            DeviceKind::Gpu => 256,
            DeviceKind::Cpu => 64,
        };
        let lanes = lanes(wish, Monoid::DoubleGradSums.bytes() as u32, device);
        let rows = pow2_at_least(records, lanes);
        Self {
            columns: pow2_at_least(channels, lanes / rows),
            rows,
            unroll: 1,
            blocks: 1,
            width: 1,
            groups: 1,
        }
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
            ("ROWS", self.rows),
            ("REDUCTION_STEPS", self.rows.trailing_zeros()),
            ("UNROLL", self.unroll),
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

/// The largest power of two of lanes that the device allows, `wish` at most.
fn lanes(wish: u32, lane_bytes: u32, device: &DeviceTraits) -> u32 {
    let limit = device
        .max_compute_invocations_per_workgroup
        .min(device.max_compute_workgroup_storage_size / lane_bytes)
        .min(wish)
        .max(1);
    1 << limit.ilog2()
}

/// The least power of two that is `wanted` or more, but not above the power of two `most`.
fn pow2_at_least(wanted: u64, most: u32) -> u32 {
    u32::try_from(wanted.min(u64::from(most))).unwrap_or(most).next_power_of_two().min(most)
}

/// At least `blocks`, with four significant bits: one number serves many shapes, and so do the shaders
/// that are made for it.
fn few_values(blocks: u64) -> u32 {
    let blocks = u32::try_from(blocks).unwrap_or(u32::MAX).min(Tile::MOST_BLOCKS);
    let step = 1 << blocks.max(8).ilog2().saturating_sub(3);
    blocks.next_multiple_of(step)
}
