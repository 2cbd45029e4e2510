//! Memory that no cache holds: stores that do not read the lines they write, and lines asked for before
//! they are read.
//!
//! The only unsafe code of this crate. Every x86-64 processor has such (non-temporal) stores and
//! prefetches; on other targets there are ordinary stores and no prefetches.

#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use std::marker::PhantomData;
use std::ops::Range;

use pulp::Arch;

/// Values that are computed before they are stored, two lines of a cache. With many more, reading and
/// storing take turns instead of overlapping.
pub(crate) const LINES: usize = 32;

/// How many values ahead of a sum or product its values are asked for. The processor does so too, but
/// starts anew with each page.
pub(crate) const AHEAD: usize = 512;

/// Results of at least this many values are streamed: a cache would keep too little of them.
const STREAMED: usize = 3 << 20;

/// Values that are looked at to tell new memory.
const SAMPLES: usize = 16;

/// Whether a result should be streamed to `output`.
pub(crate) fn suits(output: &[f32]) -> bool {
    output.len() >= STREAMED && !looks_new(output)
}

/// Whether `output` is likely to be memory that the system has yet to hand out, page by page: it reads as
/// zeros. Each page comes zeroed, that is, in the cache; streaming would send it away first.
fn looks_new(output: &[f32]) -> bool {
    output.iter().step_by(output.len().div_ceil(SAMPLES).max(1)).all(|&value| value.to_bits() == 0)
}

/// Values where the cache has its lines.
#[repr(C, align(64))]
struct Lines([f32; LINES]);

/// Writes to memory that is borrowed for `'a`, a time that only ends when streamed stores are done.
pub(crate) struct Writer<'a> {
    streamed: bool,
    /// No other `'a` will do, and no other thread: the stores are waited for by the one that did them.
    memory: PhantomData<*mut &'a ()>,
}

/// Runs `task`, compiled for this processor, with a writer that it cannot keep; the writer's stores are
/// done when this returns.
pub(crate) fn writing<'a>(streamed: bool, task: impl FnOnce(&Writer<'a>)) {
    // Dropped even if `task` panics: whoever sees the memory then sees it written.
    let _fence = streamed.then(|| Fence);
    Arch::new().dispatch(
        #[inline(always)]
        || task(&Writer { streamed, memory: PhantomData }),
    );
}

impl<'a> Writer<'a> {
    /// Writes `output`; `fill` writes the values of a range of it to a slice of that length.
    #[inline(always)]
    pub(crate) fn write(&self, output: &'a mut [f32], fill: impl Fn(Range<usize>, &mut [f32])) {
        if !self.streamed {
            return fill(0..output.len(), output);
        }
        let (head, lines, tail) = cut(output);
        let mut start = head.len();
        fill(0..start, head);
        for lines in lines {
            let mut values = Lines([0.0; LINES]);
            fill(start..start + LINES, &mut values.0);
            self.store(lines, &values);
            start += LINES;
        }
        fill(start..start + tail.len(), tail);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn store(&self, lines: &'a mut Lines, values: &Lines) {
        use std::arch::x86_64::{_mm_load_ps, _mm_stream_ps};

        let (from, to) = (values.0.as_ptr(), lines.0.as_mut_ptr());
        for i in (0..LINES).step_by(4) {
            // SAFETY: x86-64 has SSE. Both have four values from `i`, which start at a multiple of 16
            // bytes, and `to` is borrowed until `writing` has waited for the store.
            unsafe { _mm_stream_ps(to.add(i), _mm_load_ps(from.add(i))) };
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn store(&self, lines: &'a mut Lines, values: &Lines) {
        lines.0 = values.0;
    }
}

/// Cuts `values` into lines, what is before them and what is after them.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn cut(values: &mut [f32]) -> (&mut [f32], &mut [Lines], &mut [f32]) {
    // SAFETY: `Lines` are values of f32 without padding, and any bits are an f32.
    unsafe { values.align_to_mut() }
}

/// As there are no other stores, there need not be lines.
#[cfg(not(target_arch = "x86_64"))]
fn cut(values: &mut [f32]) -> (&mut [f32], &mut [Lines], &mut [f32]) {
    (values, &mut [], &mut [])
}

/// Asks for the [`LINES`] values that start `ahead` after those of `values`; these may be others or none.
#[inline(always)]
pub(crate) fn prefetch(values: &[f32], ahead: usize) {
    #[cfg(target_arch = "x86_64")]
    for i in [0, LINES / 2] {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        // SAFETY: x86-64 has SSE, and any address may be asked for.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().wrapping_add(ahead + i).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, ahead);
}

/// Waits for this thread's streamed stores when dropped.
struct Fence;

impl Drop for Fence {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: x86-64 has SSE, which brings this fence.
        unsafe {
            std::arch::x86_64::_mm_sfence();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits that no arithmetic is done on, among them NaN.
    fn value(i: usize) -> f32 {
        f32::from_bits((i as u32).wrapping_mul(2_654_435_769) | 1)
    }

    fn written(streamed: bool, start: usize, length: usize) -> Vec<u32> {
        let mut all = vec![0.0; start + length + LINES];
        let output = &mut all[start..start + length];
        writing(streamed, |writer| {
            writer.write(output, |range, output| {
                assert_eq!(range.len(), output.len());
                output.iter_mut().zip(range).for_each(|(output, i)| *output = value(i));
            });
        });
        all.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn only_large_results_in_used_memory_are_streamed() {
        let mut output = vec![0.0; STREAMED];
        assert!(!suits(&output));
        output.fill(1.0);
        assert!(suits(&output));
        assert!(!suits(&output[1..]) && !suits(&[]));
    }

    #[test]
    fn streamed_results_are_those_of_ordinary_stores_and_end_where_they_should() {
        for start in 0..=LINES {
            for length in (0..=70).chain([1000, 4099]) {
                let expected = written(false, start, length);
                assert_eq!(written(true, start, length), expected, "{length} values from {start}");
                assert!(expected[..start].iter().chain(&expected[start + length..]).all(|&bits| bits == 0));
            }
        }
    }
}
