//! Making the CPU's caches forget.

use super::memory;
use anyhow::ensure;
use rayon::prelude::*;

/// Memory that is read, on all threads, so that no cache holds anything else. It is not written: what a cache has still to write
/// back would be done at the expense of what is measured next.
pub(crate) struct Eviction {
    memory: Vec<u64>,
}

/// Values that a thread reads in a row.
const BLOCK: usize = 1 << 16;

impl Eviction {
    /// # Errors
    /// If there is not so much memory.
    pub(crate) fn new(bytes: u64) -> anyhow::Result<Self> {
        let (mib, most) = (bytes >> 20, memory::most_bytes().unwrap_or(bytes));
        ensure!(
            bytes <= most,
            "{mib} MiB are to make caches forget, expected {} MiB at most on this machine: give --cache-mib less",
            most >> 20
        );
        // Not zeros, which the system may have all in one page.
        Ok(Self { memory: vec![1; usize::try_from(bytes)? / size_of::<u64>()] })
    }

    /// Reads everything, and returns the sum.
    pub(crate) fn evict(&self) -> u64 {
        let blocks = self.memory.par_chunks(BLOCK);
        // Else nobody would miss it.
        std::hint::black_box(blocks.map(|block| block.iter().sum::<u64>()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_memory_is_read() -> anyhow::Result<()> {
        let eviction = Eviction::new(3 << 20)?;
        assert_eq!((eviction.memory.len() * 8, eviction.evict() * 8), (3 << 20, 3 << 20));
        Ok(())
    }
}
