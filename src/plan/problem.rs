//! What the steps of one plan share, and how each goes over the tensors; `dispatches.rs` makes dispatches of it.

use super::kernel::Kernel;
use super::operation::Operation;
use super::part::Part;
use super::schedule::{Schedule, Unsuited};
use super::tile::Tile;
use super::traits::DeviceTraits;
use super::view::View;
use super::work::Work;
use crate::options::Options;
use crate::params::Params;
use crate::shape::Shape;

/// What the steps of one plan have in common.
#[derive(Clone)]
pub(crate) struct Problem<'a> {
    pub(crate) device: &'a DeviceTraits,
    pub(super) schedule: Schedule,
    /// Runs of channels, in a pipelined kernel.
    pub(super) runs: u64,
    pub(crate) options: &'a Options,
    /// How the kernels see the tensors.
    pub(super) view: View,
    /// C.
    pub(crate) channels: u64,
    /// Whether only the positions that a mask shows count.
    pub(super) mask: bool,
    /// The fields that are the same in every dispatch.
    pub(super) common: Params,
}

/// How the big tensors are traversed by one step.
pub(crate) struct Walk {
    pub(super) view: View,
    pub(crate) tile: Tile,
    pub(super) parts: Vec<Part>,
    /// For each part, the splits of the segments of its group before its own.
    pub(super) first_splits: Vec<u64>,
    /// What a reduction leaves.
    pub(crate) records: Records,
    /// Whether the tensors are gone over from their end: a step before has just read that, so a cache still has it.
    pub(super) backwards: bool,
}

/// How many records there are to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Records {
    /// Groups that share statistics.
    pub(crate) groups: u64,
    /// Records for each channel of a group.
    pub(crate) splits: u64,
    /// The same for the last group, which may be shorter.
    pub(crate) last_splits: u64,
}

/// Which groups a dispatch of a step per channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// The first ones, or all.
    First,
    /// Those after the ones of another dispatch.
    Later,
}

impl Records {
    /// `splits` records for each channel, of one group.
    pub(crate) fn of_one_group(splits: u64) -> Self {
        Self { groups: 1, splits, last_splits: splits }
    }
}

impl<'a> Problem<'a> {
    pub(crate) fn new(
        shape: &Shape,
        options: &'a Options,
        operation: Operation,
        device: &'a DeviceTraits,
        schedule: Schedule,
        common: Params,
    ) -> Self {
        let mask = operation.pass().mask;
        let loads = schedule.loads(device);
        let view = View::of(shape, options.dtype, operation.ghost_batch(options), loads).with_mask(mask);
        let elements = view.elements();
        let runs = schedule.runs(operation, elements, elements.saturating_mul(view.element_bytes), device);
        Self { device, schedule, runs, options, view, channels: shape.channels() as u64, mask, common }
    }

    /// About how many parts the tensors fall into.
    pub(crate) fn bindings(&self) -> u64 {
        self.view.bindings(self.device)
    }

    pub(crate) fn groups(&self) -> u64 {
        self.view.groups()
    }

    /// How a step with this kind of work goes over the big tensors.
    pub(crate) fn traverse(&self, work: Work) -> Walk {
        let parts = self.view.parts(self.device);
        let view = self.view.alone(work, &parts, self.schedule.loads(self.device).most);
        let mut tile = Tile::for_parts(&view, &parts, self.device, work, (&self.schedule, self.runs));
        loop {
            let backwards = !matches!(work, Work::Reduce(_));
            let walk = Walk { backwards, ..Walk::new(view, tile, parts.clone()) };
            let Records { groups, splits, .. } = walk.records;
            let too_many_records = work.monoid().is_some_and(|monoid| {
                groups * splits * self.channels * monoid.bytes() > self.device.max_storage_buffer_binding_size
            });
            let (mut longest, mut tallest) = (0, 0);
            for part in &walk.parts {
                let positions = view.positions_of(part).0;
                longest = longest.max(positions);
                let groups = part.groups.end - part.groups.start;
                tallest = tallest.max(positions.div_ceil(tile.positions()) * groups);
            }
            let grid_too_large = tallest > u64::from(self.device.max_compute_workgroups_per_dimension);
            // Twice the positions a tile halves both, until one tile has all of a part.
            let largest_tile = longest <= tile.positions() || tile.blocks >= Tile::MOST_BLOCKS;
            if !(too_many_records || grid_too_large) || largest_tile {
                return walk;
            }
            tile.blocks *= 2;
        }
    }

    /// How a kernel goes over the big tensors that does more than one step.
    pub(crate) fn traverse_whole(&self, work: Work) -> Result<Walk, Unsuited> {
        let view = self.view;
        let parts = view.parts(self.device);
        let whole = parts.iter().all(|part| view.is_whole(part));
        if !whole || matches!(work, Work::Pipelined(_)) && parts.len() > 1 {
            return Err(Unsuited::Parts { parts: parts.len() });
        }
        let Work::Whole(whole) = work else { return Ok(self.traverse(work)) };
        let Some(largest) = parts.iter().max_by_key(|part| view.positions_of(part)) else {
            return Err(Unsuited::Parts { parts: 0 });
        };
        let tile = Tile::whole(&view, largest, self.device, whole, &self.schedule)?;
        Ok(Walk::new(view, tile, parts))
    }

    /// Whether a kernel that does more than one step binds no more than the device allows.
    pub(crate) fn check_bindings(&self, kernel: &Kernel) -> Result<(), Unsuited> {
        let (actual, max) = (kernel.resources.len(), self.device.max_storage_buffers_per_shader_stage);
        if actual as u64 > u64::from(max) { Err(Unsuited::Bindings { actual, max }) } else { Ok(()) }
    }

    /// Iterations in which a workgroup of a step per channel looks at all channels, four at a time and lane.
    pub(crate) fn scan_iterations(&self, records: Records) -> u64 {
        self.channels.div_ceil(4 * u64::from(self.tile_of_records(records).lanes()))
    }

    /// The tile of the step that merges `records` per channel.
    pub(super) fn tile_of_records(&self, records: Records) -> Tile {
        Tile::per_channel(records.splits, self.channels, self.device)
    }
}

impl Walk {
    fn new(view: View, tile: Tile, parts: Vec<Part>) -> Self {
        let mut first_splits = Vec::with_capacity(parts.len());
        let (mut group, mut segment, mut first, mut next) = (0, 0, 0, 0);
        let (mut splits, mut last_splits) = (0, 0);
        for part in &parts {
            if part.groups.start != group {
                (group, segment, first) = (part.groups.start, 0, 0);
            } else if part.segment != segment {
                (segment, first) = (part.segment, next);
            }
            first_splits.push(first);
            next = first + view.positions_of(part).0.div_ceil(tile.positions());
            splits = splits.max(next);
            last_splits = next;
        }
        let records = Records { groups: view.groups(), splits, last_splits };
        Self { view, tile, parts, first_splits, records, backwards: false }
    }
}
