//! Shapes and numbers to test with.

use half::{bf16, f16};
use wgpu_batchnorm::{Dtype, Layout, Shape};

/// Sizes that are not divisible by anything, at the ends of what is allowed, or fatal elsewhere; channels first.
pub(crate) const SIZES: &[&[usize]] = &[
    &[2, 1],
    &[2, 5, 1, 1],
    &[7, 1],
    &[32, 10],
    &[4, 6, 37],
    &[2, 3, 3, 5, 4],
    &[3, 65, 5, 3],
    &[64, 257, 7, 7],
    // Channels first, loads lie across rows of which each writes those that begin in it; last, a lane has six strips.
    &[4, 192, 5, 5],
    &[5, 130, 2, 2],
    &[1, 1, 1757],
    &[1, 3, 64, 65],
    &[300, 3, 5, 3],
    &[2, 16, 33, 31],
    &[1, 2, 8],
];

pub(crate) fn shape(channels_first: &[usize], layout: Layout) -> Shape {
    let mut sizes = channels_first.to_vec();
    if layout == Layout::ChannelsLast {
        sizes[1..].rotate_left(1);
    }
    Shape::new(&sizes, layout).expect("a valid shape")
}

/// The elements of a channel in some samples, each with its position n·S + s.
pub(crate) fn positions(
    shape: Shape,
    channel: usize,
    samples: std::ops::Range<usize>,
) -> impl Iterator<Item = (usize, usize)> {
    let spatial = shape.spatial();
    samples.flat_map(move |n| (0..spatial).map(move |s| (shape.index(n, channel, s), n * spatial + s)))
}

/// Numbers that look random, the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn uniform(&mut self) -> f64 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub(crate) fn normals(&mut self, length: usize, mean: f64, deviation: f64) -> Vec<f32> {
        (0..length).map(|_| (mean + deviation * self.normal()) as f32).collect()
    }
}

/// Standard normal numbers, the same ones for the same seed.
pub(crate) fn normals(seed: u64, length: usize) -> Vec<f32> {
    Random(seed).normals(length, 0.0, 1.0)
}

/// What a tensor of this element type holds of the values.
pub(crate) fn rounded(dtype: Dtype, values: &[f32]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => values.to_vec(),
        Dtype::F16 => values.iter().map(|&value| f16::from_f32(value).to_f32()).collect(),
        Dtype::BF16 => values.iter().map(|&value| bf16::from_f32(value).to_f32()).collect(),
    }
}

/// The bits: NaN is equal to itself, and 0 is not −0.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
