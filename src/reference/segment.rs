//! The positions of a tensor that share statistics, and sums and maps over them.

use std::ops::Range;

use super::ReferenceError;
use crate::{Layout, Shape};

/// A number that a tensor holds: the steps compute in `f64` whatever it is.
pub trait Element: Copy {
    /// The same number.
    fn to_f64(self) -> f64;
}

impl Element for f32 {
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Element for f64 {
    fn to_f64(self) -> f64 {
        self
    }
}

/// The positions `(n, s)` that share statistics: all of a shape, or those that a mask shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment<'a> {
    shape: Shape,
    mask: Option<&'a [bool]>,
}

impl From<Shape> for Segment<'_> {
    /// All positions of the shape.
    fn from(shape: Shape) -> Self {
        Self { shape, mask: None }
    }
}

impl<'a> Segment<'a> {
    /// The positions of the shape at whose index `n·S + s` the mask is true; without a mask all.
    ///
    /// # Errors
    /// [`ReferenceError::Length`] if the mask does not have N·S values.
    pub fn new(shape: Shape, mask: Option<&'a [bool]>) -> Result<Self, ReferenceError> {
        let segment = Self { shape, mask };
        if let Some(mask) = mask {
            segment.check_length("mask", mask, shape.values_per_channel())?;
        }
        Ok(segment)
    }

    /// The shape, hidden positions and all.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// m, the number of values per channel that count.
    pub fn count(&self) -> usize {
        let shown = |mask: &[bool]| mask.iter().filter(|&&shown| shown).count();
        self.mask.map_or(self.shape.values_per_channel(), shown)
    }

    /// Every run of so many samples, the last one maybe shorter, and where it lies in memory. A run is one
    /// piece in both layouts. Without ghost batches there is one run.
    ///
    /// # Errors
    /// [`ReferenceError::GhostBatch`] if a run has no samples.
    pub fn groups(
        &self,
        ghost_batch: Option<usize>,
    ) -> Result<Vec<(Range<usize>, Segment<'a>)>, ReferenceError> {
        let (samples, channels, spatial) =
            (self.shape.samples(), self.shape.channels(), self.shape.spatial());
        let mut groups = Vec::new();
        let mut first = 0;
        while first < samples {
            let n = ghost_batch.unwrap_or(samples).min(samples - first);
            let sizes = match self.shape.layout() {
                Layout::ChannelsFirst => [n, channels, spatial],
                Layout::ChannelsLast => [n, spatial, channels],
            };
            let shape = Shape::new(&sizes, self.shape.layout()).map_err(ReferenceError::GhostBatch)?;
            let positions = first * spatial..(first + n) * spatial;
            let elements = positions.start * channels..positions.end * channels;
            groups.push((elements, Segment { shape, mask: self.mask.map(|mask| &mask[positions]) }));
            first += n;
        }
        Ok(groups)
    }

    /// Σ of a function of channel and index, per channel.
    pub(super) fn sum(&self, value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.shape.channels()];
        self.for_each(|c, i| sums[c] += value(c, i));
        sums
    }

    /// A function of channel and index at every position that counts, and 0 elsewhere.
    pub(super) fn map(&self, value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut values = vec![0.0; self.shape.elements()];
        self.for_each(|c, i| values[i] = value(c, i));
        values
    }

    /// Visits every element that counts in memory order with its channel and its index.
    fn for_each(&self, mut visit: impl FnMut(usize, usize)) {
        let (shape, channels, spatial) = (&self.shape, self.shape.channels(), self.shape.spatial());
        let counts = |n: usize, s: usize| self.mask.is_none_or(|mask| mask[n * spatial + s]);
        for n in 0..shape.samples() {
            let positions = (0..spatial).filter(|&s| counts(n, s));
            match shape.layout() {
                Layout::ChannelsFirst => {
                    (0..channels).for_each(|c| positions.clone().for_each(|s| visit(c, shape.index(n, c, s))))
                }
                Layout::ChannelsLast => {
                    positions.for_each(|s| (0..channels).for_each(|c| visit(c, shape.index(n, c, s))));
                }
            }
        }
    }

    /// The values in `f64`, or the default for every channel if absent.
    pub(super) fn per_channel(
        &self,
        tensor: &'static str,
        values: Option<&[f32]>,
        default: f64,
    ) -> Result<Vec<f64>, ReferenceError> {
        let Some(values) = values else { return Ok(vec![default; self.shape.channels()]) };
        self.check_channels(tensor, values)?;
        Ok(values.iter().map(|&value| f64::from(value)).collect())
    }

    pub(super) fn check<T>(&self, tensor: &'static str, slice: &[T]) -> Result<(), ReferenceError> {
        self.check_length(tensor, slice, self.shape.elements())
    }

    pub(super) fn check_channels<T>(&self, tensor: &'static str, slice: &[T]) -> Result<(), ReferenceError> {
        self.check_length(tensor, slice, self.shape.channels())
    }

    fn check_length<T>(
        &self,
        tensor: &'static str,
        slice: &[T],
        expected: usize,
    ) -> Result<(), ReferenceError> {
        if slice.len() == expected {
            return Ok(());
        }
        Err(ReferenceError::Length { tensor, actual: slice.len(), expected, shape: self.shape })
    }
}

/// Sums over `count` values → means. Those of no values are 0, not 0/0: what is empty has no influence.
pub(super) fn mean_of(sums: &[f64], count: usize) -> Vec<f64> {
    sums.iter().map(|sum| sum / count.max(1) as f64).collect()
}
