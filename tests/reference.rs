//! The reference itself, since everything else is tested against it: by PyTorch's float64 results,
//! by finite differences, and by what must hold whatever the data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "reference/activations.rs"]
mod activations;
mod common;
#[path = "reference/differences.rs"]
mod differences;
#[path = "reference/invariants.rs"]
mod invariants;
#[path = "reference/oracle.rs"]
mod oracle;
#[path = "reference/segments.rs"]
mod segments;

use common::{ACTIVATIONS, LAYOUTS};

/// The step of finite differences: a power of two, so that x ± h is exact in f32 for x on the grid of
/// [`grid`].
const H: f32 = 1.0 / 16_384.0;

/// `count` pseudo-random multiples of h in (−2, 2).
fn grid(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) % 65_535) as f32 - 32_767.0
    };
    (0..count).map(|_| next() * H).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
