//! The handwritten digits in the order that all replicas train with.

use crate::{Digits, DigitsError, PIXELS};

/// A digit: its pixels, from −0.5 to 0.5, and which it is.
#[derive(Clone, Debug)]
pub struct Digit {
    /// Row by row.
    pub pixels: [f64; PIXELS],
    /// From 0 to 9.
    pub label: usize,
}

/// Those to train with, shuffled, the same on every replica.
#[derive(Clone, Debug)]
pub struct Shuffled(Vec<Digit>);

impl Shuffled {
    /// In the order that `seed` gives.
    ///
    /// # Errors
    /// [`DigitsError`] if the file is damaged.
    pub fn load(seed: u64) -> Result<Self, DigitsError> {
        let [Digits { pixels, labels }, _] = Digits::load()?;
        let images = pixels.as_chunks::<PIXELS>().0.iter().zip(labels);
        let digit = |(pixels, label): (&[f32; PIXELS], u32)| Digit {
            pixels: pixels.map(|pixel| f64::from(pixel) / 2.0),
            label: label as usize,
        };
        let mut digits: Vec<_> = images.map(digit).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut digits);
        Ok(Self(digits))
    }

    /// The samples of a step; after the last one it begins anew.
    pub fn batch(&self, step: usize, samples: usize) -> Vec<Digit> {
        self.0.iter().cycle().skip(step * samples % self.0.len().max(1)).take(samples).cloned().collect()
    }
}
