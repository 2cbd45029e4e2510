//! How a tensor is traversed: its canonical form, and the parts it is bound in.

use super::traits::DeviceTraits;
use crate::shader::parts::{self, Part as File};
use crate::shape::{Layout, Shape};
use std::ops::Range;

/// A tensor as the kernels see it: `samples` times `channels` rows of `row` elements each (channels
/// first), or `row` positions of `channels` elements each (channels last, `samples` = 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    layout: Layout,
    samples: u64,
    channels: u64,
    row: u64,
}

/// A piece of a tensor that one binding can hold: a box of samples, channels and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) samples: Range<u64>,
    pub(crate) channels: Range<u64>,
    pub(crate) columns: Range<u64>,
    /// Bytes from the tensor's first to the binding's first.
    pub(crate) offset: u64,
    /// Bytes of the binding.
    pub(crate) size: u64,
    /// Elements in the binding before the part's first.
    pub(crate) base: u64,
    /// Which piece of its channels' positions this is; parts of other channels may share the number.
    pub(crate) segment: usize,
}

const ELEMENT_BYTES: u64 = size_of::<f32>() as u64;

impl View {
    /// One channel makes both layouts the same plain array, and one position a sample makes channels
    /// first the same as channels last; then the form with the longer rows is taken.
    pub(crate) fn of(shape: &Shape) -> Self {
        let [samples, channels, spatial] =
            [shape.samples(), shape.channels(), shape.spatial()].map(|size| size as u64);
        if channels == 1 {
            Self { layout: Layout::ChannelsFirst, samples: 1, channels, row: samples * spatial }
        } else if spatial == 1 || shape.layout() == Layout::ChannelsLast {
            Self { layout: Layout::ChannelsLast, samples: 1, channels, row: samples * spatial }
        } else {
            Self { layout: Layout::ChannelsFirst, samples, channels, row: spatial }
        }
    }

    pub(crate) fn is_channels_last(&self) -> bool {
        self.layout == Layout::ChannelsLast
    }

    /// The file for the slot `layout`.
    pub(crate) fn file(&self) -> File {
        if self.is_channels_last() { parts::CHANNELS_LAST } else { parts::CHANNELS_FIRST }
    }

    /// Elements of one load: 4, 2 or 1, such that every row is a whole number of them.
    pub(crate) fn width(&self) -> u32 {
        let contiguous = if self.is_channels_last() { self.channels } else { self.row };
        match contiguous.trailing_zeros() {
            0 => 1,
            1 => 2,
            _ => 4,
        }
    }

    /// Channels that one lane holds.
    fn channels_per_lane(&self) -> u64 {
        if self.is_channels_last() { u64::from(self.width()) } else { 1 }
    }

    fn bytes(&self) -> u64 {
        self.samples * self.channels * self.row * ELEMENT_BYTES
    }

    /// About how many parts the tensor falls into.
    pub(crate) fn bindings(&self, device: &DeviceTraits) -> u64 {
        self.bytes() / binding_limit(device).max(1)
    }

    fn element(&self, sample: u64, channel: u64, column: u64) -> u64 {
        if self.is_channels_last() {
            column * self.channels + channel
        } else {
            (sample * self.channels + channel) * self.row + column
        }
    }

    /// The parts the tensor is bound in: one, if one binding can hold it.
    ///
    /// Whole samples if one fits, else whole rows, else pieces of rows. Channels last is cut along the
    /// positions only, since C itself is bounded by the arrays per channel.
    pub(crate) fn parts(&self, device: &DeviceTraits) -> Vec<Part> {
        let alignment = u64::from(device.min_storage_buffer_offset_alignment);
        let limit = binding_limit(device);
        if self.bytes() <= limit {
            return vec![self.whole()];
        }
        // A part may begin anywhere, so its binding may begin up to one alignment earlier.
        let budget = (limit.saturating_sub(alignment) / ELEMENT_BYTES).max(1);
        let (sample, row) = (self.channels * self.row, self.row);
        let mut parts = Vec::new();
        if self.is_channels_last() {
            for (segment, columns) in pieces(self.row, (budget / self.channels).max(1)).enumerate() {
                parts.push(self.part(0..1, 0..self.channels, columns, segment, alignment));
            }
        } else if sample <= budget {
            for (segment, samples) in pieces(self.samples, budget / sample).enumerate() {
                parts.push(self.part(samples, 0..self.channels, 0..row, segment, alignment));
            }
        } else {
            let length = if row <= budget { row } else { budget & !u64::from(self.width() - 1) };
            let channels = (budget / row).max(1);
            let mut segment = 0;
            for sample in 0..self.samples {
                for columns in pieces(row, length) {
                    for channels in pieces(self.channels, channels) {
                        parts.push(self.part(
                            sample..sample + 1,
                            channels,
                            columns.clone(),
                            segment,
                            alignment,
                        ));
                    }
                    segment += 1;
                }
            }
        }
        parts
    }

    /// The whole tensor as one part.
    pub(crate) fn whole(&self) -> Part {
        self.part(0..self.samples, 0..self.channels, 0..self.row, 0, ELEMENT_BYTES)
    }

    fn part(
        &self,
        samples: Range<u64>,
        channels: Range<u64>,
        columns: Range<u64>,
        segment: usize,
        alignment: u64,
    ) -> Part {
        let first = self.element(samples.start, channels.start, columns.start);
        let end = self.element(samples.end - 1, channels.end - 1, columns.end - 1) + 1;
        let offset = first * ELEMENT_BYTES / alignment * alignment;
        Part {
            samples,
            channels,
            columns,
            offset,
            size: end * ELEMENT_BYTES - offset,
            base: first - offset / ELEMENT_BYTES,
            segment,
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

    /// Positions of one lane channel in a part.
    pub(crate) fn positions_of(&self, part: &Part) -> u64 {
        let columns = part.columns.end - part.columns.start;
        (part.samples.end - part.samples.start) * columns * self.channels_per_lane() / u64::from(self.width())
    }

    /// Vectors of a part that lie side by side: along one channel, or along the channels.
    pub(crate) fn row_length_of(&self, part: &Part) -> u64 {
        let contiguous = if self.is_channels_last() { &(0..self.channels) } else { &part.columns };
        (contiguous.end - contiguous.start) / u64::from(self.width())
    }

    /// Vectors from one sample to the next.
    pub(crate) fn sample_stride(&self) -> u64 {
        self.channels * self.row / u64::from(self.width())
    }
}

/// Bytes that are bound at once: vector indices are u32, and half of that leaves room for what a tile
/// reaches beyond the end.
fn binding_limit(device: &DeviceTraits) -> u64 {
    device.max_storage_buffer_binding_size.min(ELEMENT_BYTES << 31)
}

/// `0..total` cut into pieces of `length`, the last one shorter.
fn pieces(total: u64, length: u64) -> impl Iterator<Item = Range<u64>> {
    (0..total.div_ceil(length)).map(move |i| i * length..((i + 1) * length).min(total))
}
