//! Ranges of the caller's buffers, and what is checked before they are bound.

use crate::context::lock;
use crate::resource::Resource;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use thiserror::Error;

/// A piece of a [`wgpu::Buffer`] that holds one tensor, or one array per channel.
///
/// Several tensors may be ranges of one buffer. `offset` must be a multiple of the device's
/// `min_storage_buffer_offset_alignment` (256 bytes unless a smaller one was asked for).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BufferRange {
    /// The buffer; its usage must contain [`wgpu::BufferUsages::STORAGE`].
    pub buffer: wgpu::Buffer,
    /// Bytes before the range.
    pub offset: u64,
    /// Bytes of the range; more than the tensor needs is fine.
    pub size: u64,
    /// Who made the buffer, if the library did.
    pub(crate) maker: Option<Maker>,
}

/// Stands for a device that the library has made. wgpu tells apart the devices of one instance; buffers
/// of two instances it takes for each other, because it numbers them from 0 in each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maker(Arc<()>);

impl PartialEq for Maker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Maker {}

impl std::hash::Hash for Maker {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl BufferRange {
    /// The bytes `range` of `buffer`.
    pub fn new(buffer: &wgpu::Buffer, range: Range<u64>) -> Self {
        let size = range.end.saturating_sub(range.start);
        Self { buffer: buffer.clone(), offset: range.start, size, maker: None }
    }

    pub(crate) fn made_by(buffer: wgpu::Buffer, maker: Option<Maker>) -> Self {
        Self { offset: 0, size: buffer.size(), buffer, maker }
    }

    /// Whether two ranges begin at the same byte of the same buffer: the form in which a result may
    /// take the place of an input.
    pub(crate) fn starts_with(&self, other: &Self) -> bool {
        self.buffer == other.buffer && self.offset == other.offset
    }
}

impl From<&wgpu::Buffer> for BufferRange {
    fn from(buffer: &wgpu::Buffer) -> Self {
        buffer.clone().into()
    }
}

impl From<wgpu::Buffer> for BufferRange {
    fn from(buffer: wgpu::Buffer) -> Self {
        Self::made_by(buffer, None)
    }
}

/// Buffers that are destroyed when this is dropped.
///
/// On native systems a buffer's memory is free as soon as the buffer and what is bound to it are dropped. In a browser
/// that waits for the garbage collector, which knows nothing of a device's memory: who makes many or large tensors
/// there destroys them when done with them.
///
/// Masks, workspaces and uniform values are not ranges, and stay until what they belong to is dropped.
///
/// What was submitted before runs to its end. Whatever uses the buffers afterwards, bound operations too, is refused
/// by the device.
///
/// ```no_run
/// use wgpu_batchnorm::{Context, DestroyOnDrop, Layout, Shape, Tensor};
///
/// # async fn step() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = Context::new().await?;
/// let done_with = DestroyOnDrop::default();
/// let x = Tensor::zeros(&context, Shape::new(&[64, 256, 56, 56], Layout::ChannelsFirst)?)?;
/// done_with.add([x.range()]);
/// let values = x.download().await?;
/// drop(done_with); // The device has its 196 MiB back.
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct DestroyOnDrop(Mutex<Vec<wgpu::Buffer>>);

impl DestroyOnDrop {
    /// Adds the whole buffers of these ranges.
    pub fn add<'a>(&self, ranges: impl IntoIterator<Item = &'a BufferRange>) {
        lock(&self.0).extend(ranges.into_iter().map(|range| range.buffer.clone()));
    }
}

impl Drop for DestroyOnDrop {
    fn drop(&mut self) {
        lock(&self.0).drain(..).for_each(|buffer| buffer.destroy());
    }
}

/// Why a range cannot be bound as the tensor it is given for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorError {
    /// The range goes beyond its buffer.
    #[error("{tensor} is bytes {offset} to {end} of a buffer of {buffer_bytes} bytes: shorten the range")]
    OutOfBounds {
        /// The tensor's name.
        tensor: &'static str,
        /// First byte of the range.
        offset: u64,
        /// First byte after the range.
        end: u64,
        /// Bytes of the buffer.
        buffer_bytes: u64,
    },
    /// The range is shorter than the tensor.
    #[error("{tensor} has {actual} bytes, expected at least {expected}: give it a larger range")]
    TooSmall {
        /// The tensor's name.
        tensor: &'static str,
        /// Bytes of the range.
        actual: u64,
        /// Bytes of the tensor.
        expected: u64,
    },
    /// The buffer cannot be bound as storage.
    #[error(
        "{tensor}'s buffer has usage {actual:?}, expected one that contains STORAGE: add it when creating the buffer"
    )]
    Usage {
        /// The tensor's name.
        tensor: &'static str,
        /// The buffer's usage.
        actual: wgpu::BufferUsages,
    },
    /// The range begins where no binding may begin.
    #[error(
        "{tensor} begins at byte {offset}, expected a multiple of {alignment}: the device's min_storage_buffer_offset_alignment"
    )]
    Misaligned {
        /// The tensor's name.
        tensor: &'static str,
        /// First byte of the range.
        offset: u64,
        /// What it must be a multiple of.
        alignment: u64,
    },
    /// Two ranges share bytes.
    #[error(
        "{first} and {second} share bytes {start} to {end} of one buffer; only y may lie exactly over x, and dx exactly over dy: give each a range of its own"
    )]
    Overlap {
        /// One tensor's name.
        first: &'static str,
        /// The other tensor's name.
        second: &'static str,
        /// First shared byte.
        start: u64,
        /// First byte after the shared ones.
        end: u64,
    },
    /// The options ask for the tensor, and it was not given.
    #[error("{tensor} was not given, expected one because {reason}")]
    Missing {
        /// The tensor's name.
        tensor: &'static str,
        /// What asks for it.
        reason: &'static str,
    },
    /// The tensor was given, and the options have no use for it.
    #[error("{tensor} was given, expected none because {reason}")]
    Unexpected {
        /// The tensor's name.
        tensor: &'static str,
        /// What excludes it.
        reason: &'static str,
    },
    /// The buffer is none of this device's: it belongs to another one, or was destroyed.
    #[error(
        "{tensor}'s buffer cannot be used on this device, expected one that this device created and that was not destroyed: {reason}"
    )]
    OtherDevice {
        /// The tensor's name.
        tensor: &'static str,
        /// What wgpu said.
        reason: String,
    },
}

/// One tensor as it is given for an operation.
#[derive(Clone, Copy)]
pub(crate) struct Bound<'a> {
    pub(crate) resource: Resource,
    pub(crate) name: &'static str,
    pub(crate) range: &'a BufferRange,
    /// Bytes that the operation reads or writes.
    pub(crate) bytes: u64,
}

impl<'a> Bound<'a> {
    pub(crate) fn new(resource: Resource, range: &'a BufferRange, bytes: u64) -> Self {
        Self { resource, name: resource.name(), range, bytes }
    }

    fn check(&self, alignment: u64) -> Result<(), TensorError> {
        let (tensor, BufferRange { buffer, offset, size, .. }) = (self.name, self.range);
        let end = offset.saturating_add(*size);
        if end > buffer.size() {
            return Err(TensorError::OutOfBounds {
                tensor,
                offset: *offset,
                end,
                buffer_bytes: buffer.size(),
            });
        }
        if *size < self.bytes {
            return Err(TensorError::TooSmall { tensor, actual: *size, expected: self.bytes });
        }
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(TensorError::Usage { tensor, actual: buffer.usage() });
        }
        if !offset.is_multiple_of(alignment) {
            return Err(TensorError::Misaligned { tensor, offset: *offset, alignment });
        }
        Ok(())
    }

    fn overlap(&self, other: &Self) -> Option<Range<u64>> {
        let start = self.range.offset.max(other.range.offset);
        let end = (self.range.offset + self.bytes).min(other.range.offset + other.bytes);
        (self.range.buffer == other.range.buffer && start < end).then_some(start..end)
    }
}

/// Checks each tensor by itself, and that no two share bytes. In-place results are not in `tensors`.
pub(crate) fn check(tensors: &[Bound<'_>], alignment: u64, maker: Option<&Maker>) -> Result<(), TensorError> {
    for (i, tensor) in tensors.iter().enumerate() {
        if let (Some(expected), Some(actual)) = (maker, &tensor.range.maker)
            && actual != expected
        {
            let reason = "it was made by another Context".into();
            return Err(TensorError::OtherDevice { tensor: tensor.name, reason });
        }
        tensor.check(alignment)?;
        for earlier in tensors.iter().take(i) {
            if let Some(Range { start, end }) = earlier.overlap(tensor) {
                return Err(TensorError::Overlap { first: earlier.name, second: tensor.name, start, end });
            }
        }
    }
    Ok(())
}
