//! How a tensor is traversed: its canonical form, and the parts it is bound in.

use super::part::{Part, binding_limit};
use super::traits::DeviceTraits;
use crate::elementwise::Dtype;
use crate::shader::parts::{self, Part as File};
use crate::shape::{Layout, Shape};

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
    pub(super) samples: u64,
    pub(super) channels: u64,
    pub(super) row: u64,
    pub(super) element_bytes: u64,
    /// Bytes of all that is bound for one element at most: the mask has words, one a position.
    pub(super) budget_bytes: u64,
    pub(super) mask: bool,
    /// Samples (channels first) or positions (channels last) of a group, the last one maybe shorter.
    pub(super) group: u64,
    /// Elements side by side in one channel, and how many entries of the mask a sample or position has:
    /// S channels first, 1 channels last. Of the shape itself, whatever the form.
    pub(super) inner: u64,
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
            mask: false,
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
        Self { budget_bytes: self.element_bytes.max(mask_bytes), mask, ..self }
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

    pub(super) fn vector(&self) -> u64 {
        u64::from(self.width())
    }

    /// Channels that one lane holds.
    pub(super) fn channels_per_lane(&self) -> u64 {
        if self.is_channels_last() { self.vector() } else { 1 }
    }

    pub(super) fn elements(&self) -> u64 {
        self.samples * self.channels * self.row
    }

    /// About how many parts the tensor falls into.
    pub(crate) fn bindings(&self, device: &DeviceTraits) -> u64 {
        self.elements().saturating_mul(self.budget_bytes) / binding_limit(device).max(1)
    }

    /// Samples or positions, which the groups are runs of.
    pub(super) fn outer(&self) -> u64 {
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

    pub(super) fn element(&self, sample: u64, channel: u64, column: u64) -> u64 {
        if self.is_channels_last() {
            column * self.channels + channel
        } else {
            (sample * self.channels + channel) * self.row + column
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

    /// Whether a part has all values of its groups, in all channels.
    pub(crate) fn is_whole(&self, part: &Part) -> bool {
        let outer = part.groups.start * self.group..(part.groups.end * self.group).min(self.outer());
        let (own, columns) = if self.is_channels_last() {
            (&part.columns, 0..self.row)
        } else {
            (&part.samples, part.columns.clone())
        };
        !self.is_flat()
            && *own == outer
            && part.channels == (0..self.channels)
            && (self.is_channels_last() || columns == (0..self.row))
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
