//! The parts that a tensor is bound in, where one binding cannot hold it or one dispatch all its groups.

use super::WORD_BYTES;
use super::traits::DeviceTraits;
use super::view::View;
use std::ops::Range;

/// A piece of a tensor that one binding can hold: a box of samples, channels and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) samples: Range<u64>,
    pub(crate) channels: Range<u64>,
    pub(crate) columns: Range<u64>,
    /// The groups it holds as a whole, or the one it is a piece of.
    pub(crate) groups: Range<u64>,
    /// Bytes from the tensor's first to the binding's first.
    pub(crate) offset: u64,
    /// Bytes of the binding.
    pub(crate) size: u64,
    /// Elements in the binding before the part's first.
    pub(crate) base: u64,
    /// Entries of the mask.
    pub(crate) mask: Range<u64>,
    /// Which piece of its group's positions this is; parts of other channels may share the number.
    pub(crate) segment: usize,
}

impl Part {
    pub(super) fn elements(&self) -> u64 {
        [&self.samples, &self.channels, &self.columns].map(|range| range.end - range.start).iter().product()
    }
}

impl View {
    /// The parts the tensor is bound in: one, if one binding can hold it and one dispatch its groups.
    ///
    /// Whole groups if one fits, else whole samples, else whole rows, else pieces of rows. Channels last is
    /// cut along the positions only, since C itself is bounded by the arrays per channel.
    pub(crate) fn parts(&self, device: &DeviceTraits) -> Vec<Part> {
        let alignment = u64::from(device.min_storage_buffer_offset_alignment);
        let limit = self.binding_limit(device);
        // A part may begin anywhere, so its binding may begin up to one alignment earlier; of odd rows it may end one load
        // later.
        let all = self.elements();
        let fits = all * self.budget_bytes <= limit;
        let slack = alignment + if self.has_odd_rows() { self.load_bytes() - WORD_BYTES } else { 0 };
        let budget = |bytes: u64| (limit.saturating_sub(slack) / bytes).max(1);
        let row_budget =
            budget(if self.mask { self.element_bytes.max(WORD_BYTES) } else { self.element_bytes });
        let budget = if fits { all } else { budget(self.budget_bytes) };
        let groups = self.groups();
        let most_groups = u64::from(device.max_compute_workgroups_per_dimension);
        let group_elements = self.group * self.outer_elements();
        let groups_at_once = if fits { groups } else { budget / group_elements }.min(most_groups);
        let mut parts = Vec::new();
        if groups_at_once > 0 {
            for run in pieces(groups, groups_at_once) {
                let outer = run.start * self.group..(run.end * self.group).min(self.outer());
                let (samples, columns) =
                    if self.is_channels_last() { (0..1, outer) } else { (outer, 0..self.row) };
                parts.push(self.part(samples, 0..self.channels, columns, run, 0, alignment));
            }
            return parts;
        }
        for group in 0..groups {
            let outer = group * self.group..((group + 1) * self.group).min(self.outer());
            self.cut(group, outer, (budget, row_budget), alignment, &mut parts);
        }
        parts
    }

    /// The parts of one group that is larger than a binding. A piece of a row has a smaller budget where its mask takes
    /// more than itself.
    fn cut(
        &self,
        group: u64,
        outer: Range<u64>,
        (budget, row_budget): (u64, u64),
        alignment: u64,
        parts: &mut Vec<Part>,
    ) {
        let (sample, row) = (self.channels * self.row, self.row);
        let of_group = group..group + 1;
        let length = outer.end - outer.start;
        if self.is_channels_last() {
            for (segment, columns) in pieces(length, (budget / self.channels).max(1)).enumerate() {
                let columns = outer.start + columns.start..outer.start + columns.end;
                parts.push(self.part(0..1, 0..self.channels, columns, of_group.clone(), segment, alignment));
            }
        } else if sample <= budget {
            for (segment, samples) in pieces(length, budget / sample).enumerate() {
                let samples = outer.start + samples.start..outer.start + samples.end;
                parts.push(self.part(
                    samples,
                    0..self.channels,
                    0..row,
                    of_group.clone(),
                    segment,
                    alignment,
                ));
            }
        } else {
            let pieced = (row_budget & !(self.vector() - 1)).max(self.vector());
            let length = if row <= row_budget { row } else { pieced };
            let channels = (budget / row).max(1);
            let mut segment = 0;
            for sample in outer {
                for columns in pieces(row, length) {
                    for channels in pieces(self.channels, channels) {
                        let samples = sample..sample + 1;
                        let (columns, of_group) = (columns.clone(), of_group.clone());
                        parts.push(self.part(samples, channels, columns, of_group, segment, alignment));
                    }
                    segment += 1;
                }
            }
        }
    }

    fn part(
        &self,
        samples: Range<u64>,
        channels: Range<u64>,
        columns: Range<u64>,
        groups: Range<u64>,
        segment: usize,
        alignment: u64,
    ) -> Part {
        let first = self.element(samples.start, channels.start, columns.start);
        let end = self.element(samples.end - 1, channels.end - 1, columns.end - 1) + 1;
        let offset = first * self.element_bytes / alignment * alignment;
        let mask = samples.start * self.row + columns.start..(samples.end - 1) * self.row + columns.end;
        Part {
            samples,
            channels,
            columns,
            groups,
            offset,
            size: (end * self.element_bytes).next_multiple_of(self.load_bytes()) - offset,
            base: first - offset / self.element_bytes,
            mask,
            segment,
        }
    }

    /// Bytes that are bound at once: indices are u32, of elements where they are smaller than a word and words are
    /// shared, and half of that leaves room for what a tile reaches beyond the end.
    pub(super) fn binding_limit(&self, device: &DeviceTraits) -> u64 {
        let unit = if self.shares_words() { self.element_bytes } else { WORD_BYTES };
        device.max_storage_buffer_binding_size.min(unit << 31)
    }
}

/// `0..total` cut into pieces of `length`, the last one shorter.
fn pieces(total: u64, length: u64) -> impl Iterator<Item = Range<u64>> {
    (0..total.div_ceil(length)).map(move |i| i * length..((i + 1) * length).min(total))
}
