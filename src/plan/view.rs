//! How a tensor is traversed: its canonical form, and the parts it is bound in.

use super::WORD_BYTES;
use super::part::Part;
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
    /// Channels first with 16-bit elements in odd rows, so that a word may have elements of two rows.
    OddRows,
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
        let form = |row: u64| {
            if dtype.bytes() < WORD_BYTES && row % 2 == 1 { Form::OddRows } else { Form::ChannelsFirst }
        };
        let view = Self {
            form: form(spatial),
            samples,
            channels,
            row: spatial,
            element_bytes: dtype.bytes(),
            budget_bytes: dtype.bytes(),
            mask: false,
            group,
        };
        if channels == 1 && whole {
            let row = samples * spatial;
            Self { form: form(row), samples: 1, row, group: 1, ..view }
        } else if spatial == 1 || last {
            let (row, group) = (samples * spatial, group * spatial);
            Self { form: Form::ChannelsLast, samples: 1, row, group, ..view }
        } else {
            view
        }
    }

    /// The same with room for a mask in each part.
    pub(crate) fn with_mask(self, mask: bool) -> Self {
        let mask_bytes = if mask { WORD_BYTES.div_ceil(self.channels) } else { 0 };
        Self { budget_bytes: self.element_bytes.max(mask_bytes), mask, ..self }
    }

    pub(crate) fn is_channels_last(&self) -> bool {
        self.form == Form::ChannelsLast
    }

    pub(crate) fn has_odd_rows(&self) -> bool {
        self.form == Form::OddRows
    }

    /// Whether rows are too odd for loads of several elements that all belong to one.
    pub(super) fn is_odd(&self) -> bool {
        self.has_odd_rows() || self.width() == 1
    }

    /// Whether a word may have elements of two rows, which two lanes write.
    pub(crate) fn shares_words(&self) -> bool {
        self.is_odd() && self.element_bytes < WORD_BYTES
    }

    /// The file for the slot `layout`.
    pub(crate) fn file(&self) -> File {
        match self.form {
            Form::ChannelsFirst => parts::CHANNELS_FIRST,
            Form::ChannelsLast => parts::CHANNELS_LAST,
            Form::OddRows => parts::ODD_ROWS,
        }
    }

    /// Elements of one load: 4, 2 or 1, such that every row is a whole number of them.
    pub(crate) fn width(&self) -> u32 {
        let contiguous = match self.form {
            Form::ChannelsFirst => self.row,
            Form::ChannelsLast => self.channels,
            Form::OddRows => return 2,
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

    /// Elements from one index of the kernels to the next, by which they count strides.
    pub(super) fn stride_unit(&self) -> u64 {
        if self.has_odd_rows() { 1 } else { self.vector() }
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
        self.elements().saturating_mul(self.budget_bytes) / self.binding_limit(device).max(1)
    }

    /// Samples or positions, which the groups are runs of.
    pub(super) fn outer(&self) -> u64 {
        if self.is_channels_last() { self.row } else { self.samples }
    }

    /// Groups of samples that share statistics.
    pub(crate) fn groups(&self) -> u64 {
        self.outer().div_ceil(self.group)
    }

    /// Elements of a sample, or channels last of a position.
    pub(super) fn outer_elements(&self) -> u64 {
        self.elements() / self.outer()
    }

    /// Vectors from one group to the next; odd rows count samples instead.
    pub(crate) fn group_stride(&self) -> u64 {
        self.group * self.outer_elements() / self.stride_unit()
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
        let (outer, vectors) = if self.is_channels_last() {
            (part.columns.end - part.columns.start, 1)
        } else {
            (part.samples.end - part.samples.start, self.row_length_of(part))
        };
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
        *own == outer
            && part.channels == (0..self.channels)
            && (self.is_channels_last() || columns == (0..self.row))
    }

    /// Entries of the mask to one position.
    pub(crate) fn mask_entries_of_position(&self) -> u64 {
        if self.form == Form::ChannelsFirst { self.vector() } else { 1 }
    }

    /// Vectors of a part that lie side by side, along one channel or along the channels. With odd rows it is the words
    /// that have elements of a row, wherever it begins.
    pub(crate) fn row_length_of(&self, part: &Part) -> u64 {
        let columns = part.columns.end - part.columns.start;
        match self.form {
            Form::ChannelsFirst => columns / self.vector(),
            Form::ChannelsLast => self.channels / self.vector(),
            Form::OddRows => columns / 2 + 1,
        }
    }

    /// Vectors from one sample to the next, or with odd rows elements.
    pub(crate) fn sample_stride(&self) -> u64 {
        self.channels * self.row / self.stride_unit()
    }
}
