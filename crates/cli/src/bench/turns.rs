//! Tensors take turns, so that a cache does not hold what a pass reads: each run of a pass works on the next
//! of several sets, and so many sets that a cache has forgotten the first one before it comes round again.

use serde::Serialize;
use wgpu_batchnorm::{BufferRange, Context, DeviceError, Layout, Shape, Tensor, wgpu};

/// More than the last-level caches of today's graphics processors hold.
pub(crate) const CACHE_MIB: u32 = 256;
/// Sets cost time to bind. Only tensors below 32 KiB would need more; what they cost is not bandwidth.
const MOST_SETS: u64 = 1 << 12;
/// Sets are ranges of buffers of at most this many bytes, because buffers are few and binding ranges is cheap.
const MOST_BUFFER_BYTES: u64 = 1 << 30;

/// How far apart two uses of the same bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Turns {
    /// Sets of tensors.
    pub(crate) sets: usize,
    /// Bytes that are touched from one use of a set to the next.
    pub(crate) distance_bytes: u64,
    /// Whether a cache of the size that the run was told may hold a set.
    pub(crate) cached: bool,
}

/// The sets of one run of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// One set, which a cache may hold.
    Warm,
    /// Sets until so many bytes lie between two uses of one.
    Cold { bytes: u64 },
}

impl Cache {
    /// Where a pass touches `footprint` bytes of a set, and there is memory for `affordable` sets.
    pub(crate) fn turns(self, footprint: u64, affordable: u64) -> Turns {
        let bytes = match self {
            Self::Warm => 0,
            Self::Cold { bytes } => bytes,
        };
        let footprint = footprint.max(1);
        let sets = bytes.div_ceil(footprint).min(affordable).clamp(1, MOST_SETS);
        let distance_bytes = sets * footprint;
        Turns { sets: sets as usize, distance_bytes, cached: self == Self::Warm || distance_bytes < bytes }
    }
}

/// `count` tensors like `tensor`, with its values if `filled`.
pub(crate) fn like(
    context: &Context,
    tensor: &Tensor,
    count: usize,
    filled: bool,
) -> Result<Vec<BufferRange>, DeviceError> {
    let (source, limits) = (tensor.range(), context.device().limits());
    let stride = source.size.next_multiple_of(limits.min_storage_buffer_offset_alignment.into());
    let most = (limits.max_buffer_size.min(MOST_BUFFER_BYTES) / stride).max(1) as usize;
    let descriptor = wgpu::CommandEncoderDescriptor { label: Some("bench.turns") };
    let mut encoder = context.device().create_command_encoder(&descriptor);
    let mut ranges = Vec::with_capacity(count);
    while ranges.len() < count {
        let here = most.min(count - ranges.len()) as u64;
        let buffer = zeros(context, tensor, stride * (here - 1) + source.size)?;
        for index in 0..here {
            // A range of the same maker.
            let mut range = buffer.clone();
            (range.offset, range.size) = (stride * index, source.size);
            if filled {
                let (from, to) = (&source.buffer, &range.buffer);
                encoder.copy_buffer_to_buffer(from, source.offset, to, range.offset, source.size);
            }
            ranges.push(range);
        }
    }
    context.queue().submit([encoder.finish()]);
    Ok(ranges)
}

/// A buffer of at least so many bytes, of the kind that `tensor` lies in.
fn zeros(context: &Context, tensor: &Tensor, bytes: u64) -> Result<BufferRange, DeviceError> {
    let elements = bytes.div_ceil(tensor.dtype().bytes()) as usize;
    match Shape::new(&[1, elements], Layout::ChannelsLast) {
        Ok(shape) => Ok(Tensor::zeros_as(context, shape, tensor.dtype())?.range().clone()),
        // No shape has no elements, and none overflows that fits in a buffer.
        Err(_) => Ok(tensor.range().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_distance_covers_the_cache() {
        let cold = Cache::Cold { bytes: 256 * MIB };
        for footprint in [64 << 10, 100_000, 3 * MIB, 255 * MIB, 256 * MIB, 10_000 * MIB] {
            let turns = cold.turns(footprint, u64::MAX);
            assert!(turns.distance_bytes >= 256 * MIB && !turns.cached, "{footprint}: {turns:?}");
            // Not more than needed.
            assert!((turns.sets as u64 - 1) * footprint < 256 * MIB, "{footprint}: {turns:?}");
        }
    }

    #[test]
    fn what_a_cache_may_hold_is_said() {
        let warm = Cache::Warm.turns(MIB, u64::MAX);
        assert_eq!(warm, Turns { sets: 1, distance_bytes: MIB, cached: true });
        let cold = Cache::Cold { bytes: 256 * MIB };
        // Too little memory, and more sets than are bound.
        assert_eq!(cold.turns(MIB, 3), Turns { sets: 3, distance_bytes: 3 * MIB, cached: true });
        assert_eq!(cold.turns(1024, u64::MAX).sets, MOST_SETS as usize);
        assert!(cold.turns(1024, u64::MAX).cached && cold.turns(0, u64::MAX).cached);
    }
}
