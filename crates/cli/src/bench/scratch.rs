//! The workspace of a plan, held against what it may take.

use serde::Serialize;

/// Of the bytes of x, and in bytes: what a workspace should stay within.
pub(crate) const MOST_SHARE: f64 = 0.01;
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// Bytes of workspace that a pass needs besides its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Scratch {
    pub(crate) scratch_bytes: u64,
    /// Of the bytes of x.
    pub(crate) scratch_share: f64,
}

impl Scratch {
    pub(crate) fn new(scratch_bytes: u64, tensor_bytes: f64) -> Self {
        Self { scratch_bytes, scratch_share: scratch_bytes as f64 / tensor_bytes }
    }

    /// Whether it is more than it should be.
    pub(crate) fn is_over(&self) -> bool {
        self.scratch_share > MOST_SHARE || self.scratch_bytes > MOST_BYTES
    }
}

impl std::fmt::Display for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, percent) = (self.scratch_bytes as f64, self.scratch_share * 100.0);
        let mark = if self.is_over() { " !" } else { "" };
        let decimals = if percent < 9.95 { 1 } else { 0 };
        if bytes < 1e5 {
            write!(f, "{:.1} kB {percent:.decimals$} %{mark}", bytes * 1e-3)
        } else {
            write!(f, "{:.1} MB {percent:.decimals$} %{mark}", bytes * 1e-6)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_count() {
        let over = |bytes, tensor| Scratch::new(bytes, tensor).is_over();
        assert!(!over(1000, 100_000.0) && over(1001, 100_000.0));
        assert!(!over(MOST_BYTES, 1e12) && over(MOST_BYTES + 1, 1e12));
    }

    #[test]
    fn it_is_written_with_its_share() {
        assert_eq!(Scratch::new(1_500, 1e6).to_string(), "1.5 kB 0.1 %");
        assert_eq!(Scratch::new(2_500_000, 1e7).to_string(), "2.5 MB 25 % !");
    }
}
