//! From a tensor and a device to dispatches: the part of planning that all steps share.

use super::tile::{Tile, Work};
use super::traits::{DeviceKind, DeviceTraits};
use super::view::{Part, View};
use super::{Dispatch, Piece};
use crate::kernels::Step;
use crate::params::Params;
use crate::resource::Resource;
use crate::shader::parts::{self, Part as File};
use crate::shape::Shape;

/// What the steps of one plan have in common.
pub(crate) struct Problem<'a> {
    pub(crate) device: &'a DeviceTraits,
    pub(crate) view: View,
    /// C.
    pub(crate) channels: u64,
    /// The fields that are the same in every dispatch.
    pub(crate) common: Params,
}

/// How the big tensors are traversed by one step.
pub(crate) struct Traversal {
    pub(crate) tile: Tile,
    parts: Vec<Part>,
    /// For each part, the splits of the segments before its own.
    first_splits: Vec<u64>,
    /// Records that a reduction leaves for each channel.
    pub(crate) splits: u64,
}

/// Which files make the kernel of a step, and what it binds.
pub(crate) struct Kernel {
    pub(crate) step: Step,
    pub(crate) files: Vec<File>,
    pub(crate) resources: Vec<Resource>,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(shape: &Shape, device: &'a DeviceTraits, common: Params) -> Self {
        Self { device, view: View::of(shape), channels: shape.channels() as u64, common }
    }

    /// The file for the slot `subtract`.
    pub(crate) fn subtract(&self) -> File {
        match self.device.kind {
            DeviceKind::Gpu => parts::SUBTRACT_OPAQUE,
            DeviceKind::Cpu => parts::SUBTRACT_PLAIN,
        }
    }

    /// How a step with this kind of work goes over the big tensors.
    pub(crate) fn traverse(&self, work: Work) -> Traversal {
        let parts = self.view.parts(self.device);
        let largest = parts.iter().max_by_key(|part| part.size).cloned();
        let largest = largest.unwrap_or_else(|| self.view.whole());
        let mut tile = Tile::for_part(&self.view, &largest, self.device, work);
        loop {
            let traversal = Traversal::new(&self.view, tile, parts.clone());
            let records = traversal.splits * self.channels * RECORD_BYTES;
            let too_many_records =
                work == Work::Reduce && records > self.device.max_storage_buffer_binding_size;
            let longest = traversal.parts.iter().map(|part| self.view.positions_of(part)).max().unwrap_or(0);
            let grid_too_large = longest.div_ceil(tile.positions())
                > u64::from(self.device.max_compute_workgroups_per_dimension);
            // Twice the positions a tile halves both, until one tile has all of a part.
            let largest_tile = longest <= tile.positions() || tile.blocks >= Tile::MOST_BLOCKS;
            if !(too_many_records || grid_too_large) || largest_tile {
                return traversal;
            }
            tile.blocks *= 2;
        }
    }

    /// A dispatch of `kernel` for each part of the big tensors.
    pub(crate) fn over_tensors(&self, traversal: &Traversal, kernel: &Kernel) -> Vec<Dispatch> {
        let tile = traversal.tile;
        let rows = u64::from(tile.rows);
        let parts = traversal.parts.iter().zip(&traversal.first_splits);
        parts
            .map(|(part, &first_split)| {
                let row_length = self.view.row_length_of(part);
                let sample_stride = self.view.sample_stride();
                let (step_index, step_column) = if self.view.is_channels_last() {
                    (rows * row_length, 0)
                } else {
                    (rows / row_length * sample_stride + rows % row_length, rows % row_length)
                };
                let channels = self.view.lane_channels_of(part);
                let params = Params {
                    base: word(part.base / u64::from(tile.width)),
                    first_channel: word(self.view.first_lane_channel_of(part)),
                    channels: word(channels),
                    positions: word(self.view.positions_of(part)),
                    row_length: word(row_length),
                    inverse_row_length: (1.0 / row_length as f64) as f32,
                    sample_stride: word(sample_stride),
                    step_index: word(step_index),
                    step_column: word(step_column),
                    wrap_from: word(row_length - step_column),
                    wrap_index: word((step_index + sample_stride).wrapping_sub(row_length)),
                    wrap_column: word(step_column.wrapping_sub(row_length)),
                    channel_tiles: word(channels.div_ceil(u64::from(tile.columns))),
                    first_split: word(first_split),
                    ..self.common
                };
                let splits = self.view.positions_of(part).div_ceil(tile.positions());
                self.dispatch(kernel, tile, params, word(splits), Some(part))
            })
            .collect()
    }

    /// One dispatch of `kernel` for all channels, merging `records` for each.
    pub(crate) fn per_channel(&self, records: u64, kernel: &Kernel) -> Dispatch {
        let tile = Tile::per_channel(records, self.channels, self.device);
        let channel_tiles = self.channels.div_ceil(u64::from(tile.columns));
        let params = Params {
            channels: word(self.channels),
            channel_tiles: word(channel_tiles),
            splits: word(records),
            ..self.common
        };
        self.dispatch(kernel, tile, params, 1, None)
    }

    fn dispatch(
        &self,
        kernel: &Kernel,
        tile: Tile,
        params: Params,
        splits: u32,
        part: Option<&Part>,
    ) -> Dispatch {
        let most = self.device.max_compute_workgroups_per_dimension;
        // Channels beyond one dimension go into a second one, evenly.
        let depth = params.channel_tiles.div_ceil(most);
        let width = params.channel_tiles.div_ceil(depth);
        let pieces = kernel.resources.iter().map(|&resource| match (resource, part) {
            (Resource::X | Resource::Y | Resource::Dy | Resource::Dx, Some(part)) => {
                Piece { resource, offset: part.offset, size: Some(part.size) }
            }
            _ => Piece { resource, offset: 0, size: None },
        });
        Dispatch {
            step: kernel.step,
            files: kernel.files.clone(),
            tile,
            params: Params { grid_width: width, ..params },
            grid: [width, splits, depth],
            pieces: pieces.collect(),
        }
    }
}

/// Bytes of a record of one channel: four words.
pub(crate) const RECORD_BYTES: u64 = 16;

impl Traversal {
    fn new(view: &View, tile: Tile, parts: Vec<Part>) -> Self {
        let mut first_splits = Vec::with_capacity(parts.len());
        let (mut segment, mut first, mut splits) = (0, 0, 0);
        for part in &parts {
            if part.segment != segment {
                (segment, first) = (part.segment, splits);
            }
            first_splits.push(first);
            splits = first + view.positions_of(part).div_ceil(tile.positions());
        }
        Self { tile, parts, first_splits, splits }
    }
}

/// A number of the plan as the shaders hold it. The checks before planning keep every count below
/// 2³²; what exceeds it all the same is an index of a lane that has no work, where any value will do.
fn word(value: u64) -> u32 {
    value as u32
}
