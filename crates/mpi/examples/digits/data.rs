//! The handwritten digits in the order that all ranks train with.

use wgpu_batchnorm_digits::{Digits, DigitsError};

pub(crate) use wgpu_batchnorm_digits::{CLASSES, PIXELS};

/// A digit: its pixels, from −0.5 to 0.5, and which it is.
#[derive(Clone)]
pub(crate) struct Digit {
    pub(crate) pixels: [f64; PIXELS],
    pub(crate) label: usize,
}

/// Those to train with, shuffled, the same on every rank.
pub(crate) struct Shuffled(Vec<Digit>);

impl Shuffled {
    pub(crate) fn load() -> Result<Self, DigitsError> {
        let [Digits { pixels, labels }, _] = Digits::load()?;
        let images = pixels.as_chunks::<PIXELS>().0.iter().zip(labels);
        let digit = |(pixels, label): (&[f32; PIXELS], u32)| Digit {
            pixels: pixels.map(|pixel| f64::from(pixel) / 2.0),
            label: label as usize,
        };
        let mut digits: Vec<_> = images.map(digit).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut digits);
        Ok(Self(digits))
    }

    /// The samples of a step; after the last one it begins anew.
    pub(crate) fn batch(&self, step: usize, samples: usize) -> Vec<Digit> {
        self.0.iter().cycle().skip(step * samples % self.0.len().max(1)).take(samples).cloned().collect()
    }
}
