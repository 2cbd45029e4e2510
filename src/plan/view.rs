//! How a tensor is traversed: its canonical form, and the parts it is bound in.

use super::WORD_BYTES;
use super::part::Part;
use super::traits::DeviceTraits;
use super::work::Work;
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
    /// Channels first in rows that are no whole number of loads, so that a load may bring elements of two rows. A row has
    /// those of its own elements.
    OddRows,
    /// The same, but a row has all elements of the loads that begin in it.
    StraddlingRows,
}

/// How many elements a load may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loads {
    /// Elements at most: 4, 2 or 1.
    pub(super) most: u32,
    pub(super) across_rows: AcrossRows,
}

/// Where a load of 32-bit elements may bring some of two rows, though all belong to one if it is shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcrossRows {
    Nowhere,
    /// Where the others bring one element each, and the row has [`LEAST_ODD_ROW`].
    LongOddRows,
    Everywhere,
}

/// Elements of an odd row for which CPU adapters gain more by longer loads than it costs to tell whose elements they
/// bring.
const LEAST_ODD_ROW: u64 = 16;

impl Loads {
    /// The form for rows of a tensor with so many elements in all, and the elements of a load.
    fn in_rows(self, row: u64, elements: u64, dtype: Dtype) -> (Form, u32) {
        let whole = self.whole(row, dtype);
        if dtype.bytes() < WORD_BYTES {
            return if whole == 1 { (Form::OddRows, 2) } else { (Form::ChannelsFirst, whole) };
        }
        let is_wanted = match self.across_rows {
            AcrossRows::Nowhere => false,
            AcrossRows::LongOddRows => row % 2 == 1 && row >= LEAST_ODD_ROW,
            AcrossRows::Everywhere => true,
        };
        // The last load is to end where the tensor does.
        let across = self.whole(elements, dtype);
        if is_wanted && across > whole { (Form::OddRows, across) } else { (Form::ChannelsFirst, whole) }
    }

    /// The most elements of a load of which `length` is a whole number. Half a word only if there is no other way.
    fn whole(self, length: u64, dtype: Dtype) -> u32 {
        let least = if dtype.bytes() < WORD_BYTES { 2 } else { 1 };
        (1 << length.trailing_zeros().min(2)).min(self.most.max(least))
    }
}

/// A tensor as the kernels see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    form: Form,
    /// Elements of one load: 4, 2 or 1. Every row is a whole number of them, but for odd rows.
    width: u32,
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
    pub(crate) fn of(shape: &Shape, dtype: Dtype, ghost_batch: Option<usize>, loads: Loads) -> Self {
        let [samples, channels, spatial] =
            [shape.samples(), shape.channels(), shape.spatial()].map(|size| size as u64);
        let group = ghost_batch.map_or(samples, |group| (group as u64).min(samples));
        let whole = group == samples;
        let last = channels > 1 && shape.layout() == Layout::ChannelsLast;
        let in_rows = |row: u64| loads.in_rows(row, samples * channels * spatial, dtype);
        let (form, width) = in_rows(spatial);
        let view = Self {
            form,
            width,
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
            let (form, width) = in_rows(row);
            Self { form, width, samples: 1, row, group: 1, ..view }
        } else if spatial == 1 || last {
            let (row, group) = (samples * spatial, group * spatial);
            let width = loads.whole(channels, dtype);
            Self { form: Form::ChannelsLast, width, samples: 1, row, group, ..view }
        } else {
            view
        }
    }

    /// The same with room for a mask in each part.
    pub(crate) fn with_mask(self, mask: bool) -> Self {
        let mask_bytes = if mask { WORD_BYTES.div_ceil(self.channels) } else { 0 };
        Self { budget_bytes: self.element_bytes.max(mask_bytes), mask, ..self }
    }

    /// As a step sees it that does nothing but reduce or write, whose loads bring `most` elements at most.
    ///
    /// Where words are shared by rows that have writers of their own, no load is longer than a word; it may be where nothing
    /// is written, and where a row writes all elements of the loads that begin in it.
    pub(crate) fn alone(self, work: Work, parts: &[Part], most: u32) -> Self {
        // Of one binding, which ends with a load.
        let (odd, elements) = (self.has_odd_rows() && parts.len() == 1, self.elements());
        let long = most >= 4 && elements.is_multiple_of(4) && self.row >= 4;
        let width = if long { 4 } else { self.width };
        match work {
            Work::Reduce(_) if odd => Self { width, ..self },
            // A load has elements of two rows at most, and both are of one group.
            Work::Map(_) if odd && !self.mask && self.groups() == 1 => {
                let straddling = Self { form: Form::StraddlingRows, width, ..self };
                let applies = self.row >= straddling.vector() && elements.is_multiple_of(straddling.vector());
                if applies { straddling } else { self }
            }
            _ => self,
        }
    }

    pub(crate) fn is_channels_last(&self) -> bool {
        self.form == Form::ChannelsLast
    }

    pub(crate) fn has_odd_rows(&self) -> bool {
        self.form == Form::OddRows
    }

    pub(crate) fn has_straddling_rows(&self) -> bool {
        self.form == Form::StraddlingRows
    }

    /// Whether loads may lie across rows.
    pub(crate) fn is_across_rows(&self) -> bool {
        self.has_odd_rows() || self.has_straddling_rows()
    }

    /// Whether rows are too odd for loads of several elements that all belong to one.
    pub(super) fn is_odd(&self) -> bool {
        self.is_across_rows() || self.width == 1
    }

    /// Whether a word may have elements of two rows, which two lanes write. Loads of several such words are only read.
    pub(crate) fn shares_words(&self) -> bool {
        let is_one_word = self.has_odd_rows() && self.width == 2 || self.width == 1;
        is_one_word && self.element_bytes < WORD_BYTES
    }

    /// The file for the slot `layout`.
    pub(crate) fn file(&self) -> File {
        match self.form {
            Form::ChannelsFirst => parts::CHANNELS_FIRST,
            Form::ChannelsLast => parts::CHANNELS_LAST,
            Form::OddRows => parts::ODD_ROWS,
            Form::StraddlingRows => parts::STRADDLING_ROWS,
        }
    }

    /// Elements of one load: 4, 2 or 1.
    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    pub(super) fn vector(&self) -> u64 {
        u64::from(self.width)
    }

    /// Bytes of the tensor that are read at once.
    pub(super) fn load_bytes(&self) -> u64 {
        (self.vector() * self.element_bytes).max(WORD_BYTES)
    }

    /// Elements from one index of the kernels to the next, by which they count strides.
    pub(super) fn stride_unit(&self) -> u64 {
        if self.is_across_rows() { 1 } else { self.vector() }
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

    /// Vectors of a part that lie side by side, along one channel or along the channels. With odd rows it is the most
    /// vectors that have elements of a row, or that begin in one, wherever the row begins.
    pub(crate) fn row_length_of(&self, part: &Part) -> u64 {
        let columns = part.columns.end - part.columns.start;
        match self.form {
            Form::ChannelsFirst => columns / self.vector(),
            Form::ChannelsLast => self.channels / self.vector(),
            Form::OddRows => (columns + 2 * (self.vector() - 1)) / self.vector(),
            Form::StraddlingRows => columns.div_ceil(self.vector()),
        }
    }

    /// Vectors from one sample to the next, or with odd rows elements.
    pub(crate) fn sample_stride(&self) -> u64 {
        self.channels * self.row / self.stride_unit()
    }
}
