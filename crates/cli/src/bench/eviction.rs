//! Making the CPU's caches forget.

use super::memory;
use anyhow::ensure;
use rayon::prelude::*;

/// Memory that is written over, on all threads, so that no cache holds anything else.
pub(crate) struct Eviction {
    memory: Vec<u64>,
}

/// Values that a thread writes in a row.
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
        Ok(Self { memory: vec![0; usize::try_from(bytes)? / size_of::<u64>()] })
    }

    pub(crate) fn evict(&mut self) {
        self.memory.par_chunks_mut(BLOCK).for_each(|block| {
            block.iter_mut().for_each(|value| *value = value.wrapping_add(1));
        });
        // Else nobody would miss it.
        std::hint::black_box(&mut self.memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_memory_is_written() -> anyhow::Result<()> {
        let mut eviction = Eviction::new(3 << 20)?;
        (0..2).for_each(|_| eviction.evict());
        assert_eq!(eviction.memory.len() * 8, 3 << 20);
        assert!(eviction.memory.iter().all(|&value| value == 2));
        Ok(())
    }
}
