//! Masks: which positions of a batch count.

use crate::buffer::BufferRange;
use crate::context::Context;
use crate::device::{DeviceError, create_buffer_with};
use crate::shape::Shape;
use thiserror::Error;

/// Which of the N·S positions of a batch count, for all channels alike: a padded sequence's real steps,
/// for example.
///
/// What the mask hides takes no part in statistics and gradients, whatever it is, NaN included; y, dx and
/// dresidual are 0 there. In memory `[N, S]` u32, whatever the layout of x; every value other than 0 shows
/// its position.
///
/// ```no_run
/// use wgpu_batchnorm::{Context, Layout, Mask, Shape};
///
/// let context = Context::new_blocking()?;
/// let shape = Shape::new(&[2, 8, 5], Layout::ChannelsFirst)?; // two sequences of at most 5 steps
/// let mask = Mask::from_lengths(&context, &shape, &[5, 3])?;
/// assert_eq!(mask.shown(), Some(8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mask {
    pub(crate) range: BufferRange,
    /// N and S, and the positions shown; none if only the device knows.
    known: Option<Known>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known {
    samples: usize,
    spatial: usize,
    shown: usize,
}

/// Why there is no mask, or it does not fit.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum MaskError {
    /// The number of values is not N·S.
    #[error("the mask has {actual} positions, expected {expected} for {shape}: N·S values, sample by sample")]
    Positions {
        /// Its positions.
        actual: usize,
        /// N·S.
        expected: usize,
        /// The shape.
        shape: Shape,
    },
    /// The number of lengths is not N.
    #[error("{actual} sequence lengths, expected {expected} for {shape}: one for each sample")]
    Lengths {
        /// The lengths as given.
        actual: usize,
        /// N.
        expected: usize,
        /// The shape.
        shape: Shape,
    },
    /// A sequence is longer than the samples.
    #[error("sequence {sample} has length {actual}, expected at most S = {expected} for {shape}")]
    Length {
        /// Which sequence.
        sample: usize,
        /// Its length.
        actual: usize,
        /// S.
        expected: usize,
        /// The shape.
        shape: Shape,
    },
    /// No position counts.
    #[error("the mask shows 0 of {positions} positions, expected at least 1: skip the batch")]
    Empty {
        /// N·S.
        positions: usize,
    },
    /// A single position counts, which has no variance.
    #[error(
        "the mask shows 1 position, expected more than 1 in training: use a larger batch, or Mode::EVALUATION"
    )]
    OnePosition,
    /// The mask was made for another shape.
    #[error("the mask is for N = {samples} and S = {spatial}, expected {expected}: make one for this shape")]
    Shape {
        /// N of the mask.
        samples: usize,
        /// S of the mask.
        spatial: usize,
        /// The shape of the pass.
        expected: Shape,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl Mask {
    /// A mask of N·S values, sample by sample.
    ///
    /// # Errors
    /// [`MaskError`] if there are not N·S of them, none is true, or the device fails.
    pub fn upload(context: &Context, shape: &Shape, shown: &[bool]) -> Result<Self, MaskError> {
        let (actual, expected) = (shown.len(), shape.values_per_channel());
        if actual != expected {
            return Err(MaskError::Positions { actual, expected, shape: *shape });
        }
        let words: Vec<u32> = shown.iter().map(|&shown| u32::from(shown)).collect();
        let known = Known {
            samples: shape.samples(),
            spatial: shape.spatial(),
            shown: shown.iter().filter(|&&shown| shown).count(),
        };
        if known.shown == 0 {
            return Err(MaskError::Empty { positions: expected });
        }
        context.check_alive()?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let buffer = create_buffer_with(context.checked(), "mask", bytemuck::cast_slice(&words), usage)?;
        Ok(Self { range: context.range(buffer), known: Some(known) })
    }

    /// A mask that shows the first `lengths[n]` of the S positions of each sample n.
    ///
    /// # Errors
    /// [`MaskError`] if there are not N lengths, one is greater than S, all are 0, or the device fails.
    pub fn from_lengths(context: &Context, shape: &Shape, lengths: &[usize]) -> Result<Self, MaskError> {
        let (samples, spatial) = (shape.samples(), shape.spatial());
        if lengths.len() != samples {
            return Err(MaskError::Lengths { actual: lengths.len(), expected: samples, shape: *shape });
        }
        if let Some((sample, &actual)) = lengths.iter().enumerate().find(|&(_, &length)| length > spatial) {
            return Err(MaskError::Length { sample, actual, expected: spatial, shape: *shape });
        }
        let shown: Vec<bool> =
            lengths.iter().flat_map(|&length| (0..spatial).map(move |s| s < length)).collect();
        Self::upload(context, shape, &shown)
    }

    /// A mask that the device has made: `[N, S]` u32. If it shows nothing, output and gradients are 0, and the
    /// running statistics stay as they are and count the batch as skipped.
    pub fn on_device(range: impl Into<BufferRange>) -> Self {
        Self { range: range.into(), known: None }
    }

    /// How many positions it shows, if the host knows.
    pub fn shown(&self) -> Option<usize> {
        self.known.map(|known| known.shown)
    }

    /// Where it lies.
    pub fn range(&self) -> &BufferRange {
        &self.range
    }

    /// Whether it is one for this shape, as far as the host knows.
    pub(crate) fn check(&self, shape: &Shape) -> Result<(), MaskError> {
        match self.known {
            Some(Known { samples, spatial, .. })
                if (samples, spatial) != (shape.samples(), shape.spatial()) =>
            {
                Err(MaskError::Shape { samples, spatial, expected: *shape })
            }
            _ => Ok(()),
        }
    }
}
