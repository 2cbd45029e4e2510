//! From a kernel, and how it goes over the tensors, to dispatches with their uniform values.

use super::kernel::Kernel;
use super::part::Part;
use super::problem::{Problem, Records, Run, Walk};
use super::tile::Tile;
use super::work::Kept;
use super::{Dispatch, Piece, WORD_BYTES};
use crate::params::Params;
use crate::resource::Resource;

/// Loop iterations of one invocation: lavapipe leaves all loops, silently, after 65,535 of them, and counts the one
/// that ends a loop too.
const MOST_ITERATIONS: u64 = 60_000;

impl Problem<'_> {
    /// A dispatch of `kernel` for each run of channels, and one more: each writes the run that the one before has
    /// reduced, which reads those of the tensors `read_twice` that it binds again.
    pub(crate) fn over_runs(&self, walk: &Walk, kernel: &Kernel, read_twice: &[Resource]) -> Vec<Dispatch> {
        let Some(whole) = self.over_tensors(walk, kernel).pop() else { return Vec::new() };
        let tiles = u64::from(whole.params.channel_tiles);
        let runs = self.runs.min(tiles);
        let start = |index: u64| index * tiles / runs;
        let run = |index: u64| start(index.min(runs))..start((index + 1).min(runs));
        let dispatch = |index: u64| {
            let first = run(index);
            let second = if index == 0 { 0..0 } else { run(index - 1) };
            let [first_tiles, second_tiles] = [&first, &second].map(|run| run.end - run.start);
            let share = |part: u64| part as f64 / tiles as f64;
            let read = whole.tensors_among(read_twice) * whole.elements;
            let written = whole.moved - read;
            let params = Params {
                first_run_tile: word(first.start),
                first_run_tiles: word(first_tiles),
                second_run_tile: word(second.start),
                second_run_tiles: word(second_tiles),
                channel_tiles: word(first_tiles + second_tiles),
                ..whole.params
            };
            let dispatch = Dispatch {
                moved: read * share(first_tiles) + written * share(second_tiles),
                reread: read * share(second_tiles),
                ..whole.clone()
            };
            self.with_grid(dispatch, params)
        };
        (0..=runs).map(dispatch).collect()
    }

    /// As [`Self::over_tensors`], where each workgroup looks twice at those of the tensors `seen_twice` that the kernel binds.
    pub(crate) fn over_tensors_twice(
        &self,
        walk: &Walk,
        kernel: &Kernel,
        (seen_twice, kept): (&[Resource], Kept),
    ) -> Vec<Dispatch> {
        let mut dispatches = self.over_tensors(walk, kernel);
        for dispatch in &mut dispatches {
            if kept == Kept::InCache {
                dispatch.reread = dispatch.tensors_among(seen_twice) * dispatch.elements;
            }
        }
        dispatches
    }

    /// A dispatch of `kernel` for each part of the big tensors.
    pub(crate) fn over_tensors(&self, walk: &Walk, kernel: &Kernel) -> Vec<Dispatch> {
        let Walk { view, tile, parts, first_splits, records, backwards } = walk;
        let backwards = *backwards;
        let rows = u64::from(tile.rows);
        let dispatch = |(part, &first_split): (&Part, &u64)| {
            let row_length = view.row_length_of(part);
            let sample_stride = view.sample_stride();
            let (step_index, step_column) = if view.is_channels_last() {
                (rows * row_length, 0)
            } else {
                (rows / row_length * sample_stride + rows % row_length, rows % row_length)
            };
            let channels = view.lane_channels_of(part);
            let (positions, last_positions) = view.positions_of(part);
            let part_splits = positions.div_ceil(tile.positions());
            let groups = part.groups.end - part.groups.start;
            let mask = self.mask_piece(part);
            let mask_base = part.mask.start - mask.offset / WORD_BYTES;
            let params = Params {
                base: word(part.base / view.stride_unit()),
                first_channel: word(view.first_lane_channel_of(part)),
                channels: word(channels),
                positions: word(positions),
                last_positions: word(last_positions),
                row_length: word(row_length),
                inverse_row_length: (1.0 / row_length as f64) as f32,
                sample_stride: word(sample_stride),
                step_index: word(step_index),
                step_column: word(step_column),
                wrap_from: word(row_length.wrapping_sub(step_column)),
                wrap_index: word((step_index + sample_stride).wrapping_sub(row_length)),
                wrap_column: word(step_column.wrapping_sub(row_length)),
                groups: word(groups),
                first_group: word(part.groups.start),
                all_groups: word(view.groups()),
                group_stride: word(view.group_stride()),
                row_elements: word(view.row),
                part_row_elements: word(part.columns.end - part.columns.start),
                step_samples: word(rows / row_length),
                group_length: word(view.group),
                mask_base: word(mask_base / view.mask_entries_of_position()),
                channel_tiles: word(channels.div_ceil(tile.lane_channels())),
                first_tile_row: if backwards { word(part_splits * groups - 1) } else { 0 },
                tile_row_step: if backwards { 1u32.wrapping_neg() } else { 1 },
                part_splits: word(part_splits),
                first_split: word(first_split),
                splits: word(records.splits),
                last_splits: word(records.last_splits),
                ..self.common
            };
            let size = (word(part_splits * groups), part.elements());
            self.dispatch(kernel, *tile, params, size, |resource| {
                if resource.is_tensor() {
                    Piece { resource, offset: part.offset, size: Some(part.size) }
                } else if resource == Resource::Mask {
                    mask
                } else {
                    Piece { resource, offset: 0, size: None }
                }
            })
        };
        let mut dispatches: Vec<_> = parts.iter().zip(first_splits).map(dispatch).collect();
        if backwards {
            dispatches.reverse();
        }
        dispatches
    }

    /// What is bound of the mask with a part.
    fn mask_piece(&self, part: &Part) -> Piece {
        let alignment = u64::from(self.device.min_storage_buffer_offset_alignment);
        let offset = part.mask.start * WORD_BYTES / alignment * alignment;
        Piece { resource: Resource::Mask, offset, size: Some(part.mask.end * WORD_BYTES - offset) }
    }

    /// Dispatches for all channels, merging `records` for each: one, or several for runs of groups, where one
    /// would exceed [`MOST_ITERATIONS`]. `kernel` makes the kernel of the first run or of the others, which add
    /// to what the runs before them have left.
    pub(crate) fn per_channel(
        &self,
        records: Records,
        iterations: u64,
        kernel: impl Fn(Run) -> Kernel,
    ) -> Vec<Dispatch> {
        let tile = self.tile_of_records(records);
        let channel_tiles = self.channels.div_ceil(tile.lane_channels());
        // For each group: its own iteration, those of the merge, and the one that ends the merge.
        let merges = records.splits.max(records.last_splits).div_ceil(u64::from(tile.rows));
        let groups_at_once = (MOST_ITERATIONS / (2 + merges + iterations)).max(1);
        let dispatch = |first: u64| {
            let tile = Tile { groups: word(groups_at_once.min(records.groups - first)), ..tile };
            let params = Params {
                channels: word(self.channels),
                channel_tiles: word(channel_tiles),
                groups: tile.groups,
                first_group: word(first),
                all_groups: word(records.groups),
                splits: word(records.splits),
                last_splits: word(records.last_splits),
                ..self.common
            };
            let kernel = kernel(if first == 0 { Run::First } else { Run::Later });
            let piece = |resource| Piece { resource, offset: 0, size: None };
            self.dispatch(&kernel, tile, params, (1, 0), piece)
        };
        (0..records.groups)
            .step_by(usize::try_from(groups_at_once).unwrap_or(usize::MAX))
            .map(dispatch)
            .collect()
    }

    fn dispatch(
        &self,
        kernel: &Kernel,
        tile: Tile,
        params: Params,
        (splits, elements): (u32, u64),
        piece: impl Fn(Resource) -> Piece,
    ) -> Dispatch {
        let dispatch = Dispatch {
            step: kernel.step,
            files: kernel.files.clone(),
            tile,
            params,
            grid: [0, splits, 0],
            pieces: kernel.resources.iter().map(|&resource| piece(resource)).collect(),
            elements: elements as f64,
            moved: 0.0,
            reread: 0.0,
            element_bytes: self.options.dtype.bytes(),
        };
        let moved = dispatch.moves() * dispatch.elements;
        self.with_grid(Dispatch { moved, ..dispatch }, params)
    }

    /// The dispatch with other numbers, and as many workgroups as they say.
    fn with_grid(&self, dispatch: Dispatch, params: Params) -> Dispatch {
        let most = self.device.max_compute_workgroups_per_dimension;
        // Channels beyond one dimension go into a second one, evenly.
        let depth = params.channel_tiles.div_ceil(most).max(1);
        let width = params.channel_tiles.div_ceil(depth);
        let [_, splits, _] = dispatch.grid;
        Dispatch { params: Params { grid_width: width, ..params }, grid: [width, splits, depth], ..dispatch }
    }
}

/// A number of the plan as the shaders hold it. The checks before planning keep every count below
/// 2³²; what exceeds it all the same is an index of a lane that has no work, where any value will do.
fn word(value: u64) -> u32 {
    value as u32
}
