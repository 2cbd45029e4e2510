//! How a tensor is traversed: its canonical form, and the parts it is bound in.

use super::traits::DeviceTraits;
use crate::options::Dtype;
use crate::shader::parts::{self, Part as File};
use crate::shape::{Layout, Shape};
use std::ops::Range;

/// The form in which the kernels see a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `samples` times `channels` rows of `row` elements each.
    ChannelsFirst,
    /// `row` positions of `channels` elements each; `samples` is 1.
    ChannelsLast,
    /// Words of two elements, whatever rows they belong to; only `row` counts here.
    Flat,
}

/// A tensor as the kernels see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    form: Form,
    samples: u64,
    channels: u64,
    row: u64,
    element_bytes: u64,
    /// Bytes of all that is bound for one element at most: the mask has words, one a position.
    budget_bytes: u64,
    /// Samples (channels first) or positions (channels last) of a group, the last one maybe shorter.
    group: u64,
    /// Elements side by side in one channel, and how many entries of the mask a sample or position has:
    /// S channels first, 1 channels last. Of the shape itself, whatever the form.
    inner: u64,
}

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
    /// Elements in the binding before the part's first; flat: from the first of its sample or position.
    pub(crate) base: u64,
    /// Flat: samples or positions before that one.
    pub(crate) first_outer: u64,
    /// Entries of the mask.
    pub(crate) mask: Range<u64>,
    /// Which piece of its group's positions this is; parts of other channels may share the number.
    pub(crate) segment: usize,
}

impl View {
    /// One channel makes both layouts the same plain array, and one position a sample makes channels
    /// first the same as channels last; then the form with the longer rows is taken.
    pub(crate) fn of(shape: &Shape, dtype: Dtype, ghost_batch: Option<usize>) -> Self {
        let [samples, channels, spatial] =
            [shape.samples(), shape.channels(), shape.spatial()].map(|size| size as u64);
        let group = ghost_batch.map_or(samples, |group| (group as u64).min(samples));
        let whole = group == samples;
        let last = channels > 1 && shape.layout() == Layout::ChannelsLast;
        let view = Self {
            form: Form::ChannelsFirst,
            samples,
            channels,
            row: spatial,
            element_bytes: dtype.bytes(),
            budget_bytes: dtype.bytes(),
            group,
            inner: if last { 1 } else { spatial },
        };
        if channels == 1 && whole {
            Self { samples: 1, row: samples * spatial, group: 1, inner: samples * spatial, ..view }
        } else if spatial == 1 || last {
            let (row, group) = (samples * spatial, group * spatial);
            Self { form: Form::ChannelsLast, samples: 1, row, group, inner: 1, ..view }
        } else {
            view
        }
    }

    /// The form for steps that write: another one where a word of two elements may lie in two rows.
    pub(crate) fn for_writing(self) -> Self {
        if self.element_bytes == Dtype::F32.bytes() || self.width() > 1 {
            return self;
        }
        Self { form: Form::Flat, ..self }
    }

    /// The same with room for a mask in each part.
    pub(crate) fn with_mask(self, mask: bool) -> Self {
        let mask_bytes = if mask { super::WORD_BYTES.div_ceil(self.channels) } else { 0 };
        Self { budget_bytes: self.element_bytes.max(mask_bytes), ..self }
    }

    pub(crate) fn is_channels_last(&self) -> bool {
        self.form == Form::ChannelsLast
    }

    pub(crate) fn is_flat(&self) -> bool {
        self.form == Form::Flat
    }

    /// The file for the slot `layout`.
    pub(crate) fn file(&self) -> File {
        match self.form {
            Form::ChannelsFirst => parts::CHANNELS_FIRST,
            Form::ChannelsLast => parts::CHANNELS_LAST,
            Form::Flat => parts::FLAT,
        }
    }

    /// Elements of one load: 4, 2 or 1, such that every row is a whole number of them.
    pub(crate) fn width(&self) -> u32 {
        let contiguous = match self.form {
            Form::ChannelsFirst => self.row,
            Form::ChannelsLast => self.channels,
            Form::Flat => return 2,
        };
        match contiguous.trailing_zeros() {
            0 => 1,
            1 => 2,
            _ => 4,
        }
    }

    fn vector(&self) -> u64 {
        u64::from(self.width())
    }

    /// Channels that one lane holds.
    fn channels_per_lane(&self) -> u64 {
        if self.is_channels_last() { self.vector() } else { 1 }
    }

    fn elements(&self) -> u64 {
        self.samples * self.channels * self.row
    }

    /// About how many parts the tensor falls into.
    pub(crate) fn bindings(&self, device: &DeviceTraits) -> u64 {
        self.elements().saturating_mul(self.budget_bytes) / binding_limit(device).max(1)
    }

    /// Samples or positions, which the groups are runs of.
    fn outer(&self) -> u64 {
        self.elements() / (self.inner * self.channels)
    }

    /// Groups of samples that share statistics.
    pub(crate) fn groups(&self) -> u64 {
        self.outer().div_ceil(self.group)
    }

    pub(crate) fn group_length(&self) -> u64 {
        self.group
    }

    /// Vectors from one group to the next.
    pub(crate) fn group_stride(&self) -> u64 {
        self.group * self.inner * self.channels / self.vector()
    }

    /// Whether a flat form has samples so large that an element's place in one is no u32.
    pub(crate) fn has_endless_samples(&self) -> bool {
        self.is_flat() && self.inner * self.channels >= 1 << 31
    }

    fn element(&self, sample: u64, channel: u64, column: u64) -> u64 {
        if self.is_channels_last() {
            column * self.channels + channel
        } else {
            (sample * self.channels + channel) * self.row + column
        }
    }

    /// The parts the tensor is bound in: one, if one binding can hold it and one dispatch its groups.
    ///
    /// Whole groups if one fits, else whole samples, else whole rows, else pieces of rows. Channels last is
    /// cut along the positions only, since C itself is bounded by the arrays per channel.
    pub(crate) fn parts(&self, device: &DeviceTraits) -> Vec<Part> {
        let alignment = u64::from(device.min_storage_buffer_offset_alignment);
        let limit = binding_limit(device);
        // A part may begin anywhere, so its binding may begin up to one alignment earlier.
        let all = self.elements();
        let fits = all * self.budget_bytes <= limit;
        let budget = if fits { all } else { (limit.saturating_sub(alignment) / self.budget_bytes).max(1) };
        if self.is_flat() {
            // A mask's words begin with a whole sample.
            let spare = if self.budget_bytes > self.element_bytes { self.inner.min(budget / 2) } else { 0 };
            let piece = budget.saturating_sub(spare).min(MOST_FLAT_ELEMENTS) & !(alignment - 1);
            return pieces(all, piece.max(alignment)).map(|elements| self.flat_part(elements)).collect();
        }
        let groups = self.groups();
        let most_groups = u64::from(device.max_compute_workgroups_per_dimension);
        let group_elements = self.group * self.inner * self.channels;
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
            self.cut(group, outer, budget, alignment, &mut parts);
        }
        parts
    }

    /// The parts of one group that is larger than a binding.
    fn cut(&self, group: u64, outer: Range<u64>, budget: u64, alignment: u64, parts: &mut Vec<Part>) {
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
            let length = if row <= budget { row } else { (budget & !(self.vector() - 1)).max(self.vector()) };
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
            size: (end * self.element_bytes).next_multiple_of(super::WORD_BYTES) - offset,
            base: first - offset / self.element_bytes,
            first_outer: 0,
            mask,
            segment,
        }
    }

    /// A run of elements that begins at a multiple of the alignment.
    fn flat_part(&self, elements: Range<u64>) -> Part {
        let outer_elements = self.inner * self.channels;
        let first_outer = elements.start / outer_elements;
        let mask = first_outer * self.inner..((elements.end - 1) / outer_elements + 1) * self.inner;
        let end = (elements.end * self.element_bytes).next_multiple_of(super::WORD_BYTES);
        let offset = elements.start * self.element_bytes;
        Part {
            samples: 0..1,
            channels: 0..1,
            base: elements.start - first_outer * outer_elements,
            columns: elements,
            groups: 0..1,
            offset,
            size: end - offset,
            first_outer,
            mask,
            segment: 0,
        }
    }

    /// Lane channels of a part.
    pub(crate) fn lane_channels_of(&self, part: &Part) -> u64 {
        (part.channels.end - part.channels.start) / self.channels_per_lane()
    }

    /// Lane channels before a part's first.
    pub(crate) fn first_lane_channel_of(&self, part: &Part) -> u64 {
        part.channels.start / self.channels_per_lane()
    }

    /// Positions of one lane channel in each group of a part, and in the last one of them.
    pub(crate) fn positions_of(&self, part: &Part) -> (u64, u64) {
        let columns = part.columns.end - part.columns.start;
        if self.is_flat() {
            let words = columns.div_ceil(self.vector());
            return (words, words);
        }
        let outer = if self.is_channels_last() { columns } else { part.samples.end - part.samples.start };
        let vectors = if self.is_channels_last() { 1 } else { columns / self.vector() };
        let groups = part.groups.end - part.groups.start;
        let full = if groups > 1 { self.group } else { outer };
        (full * vectors, (outer - full * (groups - 1)) * vectors)
    }

    /// Entries of the mask to one position.
    pub(crate) fn mask_entries_of_position(&self) -> u64 {
        if self.form == Form::ChannelsFirst { self.vector() } else { 1 }
    }

    /// Vectors of a part that lie side by side: along one channel, or along the channels.
    pub(crate) fn row_length_of(&self, part: &Part) -> u64 {
        match self.form {
            Form::ChannelsFirst => (part.columns.end - part.columns.start) / self.vector(),
            Form::ChannelsLast => self.channels / self.vector(),
            Form::Flat => self.inner,
        }
    }

    /// Vectors from one sample to the next.
    pub(crate) fn sample_stride(&self) -> u64 {
        self.channels * self.row / self.vector()
    }
}

/// Bytes that are bound at once: vector indices are u32, and half of that leaves room for what a tile
/// reaches beyond the end.
fn binding_limit(device: &DeviceTraits) -> u64 {
    device.max_storage_buffer_binding_size.min(super::WORD_BYTES << 31)
}

/// Elements of a flat part, whose numbers are u32 with those of a sample before them.
const MOST_FLAT_ELEMENTS: u64 = 1 << 30;

/// `0..total` cut into pieces of `length`, the last one shorter.
fn pieces(total: u64, length: u64) -> impl Iterator<Item = Range<u64>> {
    (0..total.div_ceil(length)).map(move |i| i * length..((i + 1) * length).min(total))
}
