//! Making the CPU's caches forget.

use rayon::prelude::*;

/// Memory that is written over, on all threads, so that no cache holds anything else.
pub(crate) struct Eviction {
    memory: Vec<u64>,
}

/// Values that a thread writes in a row.
const BLOCK: usize = 1 << 16;

impl Eviction {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { memory: vec![0; bytes as usize / size_of::<u64>()] }
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
    fn all_of_the_memory_is_written() {
        let mut eviction = Eviction::new(3 << 20);
        (0..2).for_each(|_| eviction.evict());
        assert_eq!(eviction.memory.len() * 8, 3 << 20);
        assert!(eviction.memory.iter().all(|&value| value == 2));
    }
}
