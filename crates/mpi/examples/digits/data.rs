//! The handwritten digits of `data/`.

use anyhow::{Context as _, ensure};
use flate2::read::GzDecoder;
use std::fs::File;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/digits.csv.gz");
pub(crate) const PIXELS: usize = 64;

/// A digit: its pixels, from −0.5 to 0.5, and which it is.
#[derive(Clone)]
pub(crate) struct Digit {
    pub(crate) pixels: [f64; PIXELS],
    pub(crate) label: usize,
}

/// All of them, shuffled, the same on every rank.
pub(crate) struct Digits(Vec<Digit>);

impl Digits {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let file = File::open(FILE).with_context(|| format!("cannot open {FILE}"))?;
        let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(GzDecoder::new(file));
        let mut digits = Vec::new();
        for row in rows.deserialize::<Vec<u8>>() {
            let row = row.with_context(|| format!("cannot read {FILE}"))?;
            let Some((&label, pixels)) = row.split_last() else { continue };
            ensure!(pixels.len() == PIXELS && label < 10, "{FILE} has a row that is no digit: {row:?}");
            let mut digit = Digit { pixels: [0.0; PIXELS], label: label.into() };
            for (to, from) in digit.pixels.iter_mut().zip(pixels) {
                *to = f64::from(*from) / 16.0 - 0.5;
            }
            digits.push(digit);
        }
        ensure!(!digits.is_empty(), "{FILE} has no digits");
        fastrand::Rng::with_seed(7).shuffle(&mut digits);
        Ok(Self(digits))
    }

    /// The samples of a step; after the last one it begins anew.
    pub(crate) fn batch(&self, step: usize, samples: usize) -> Vec<Digit> {
        self.0.iter().cycle().skip(step * samples % self.0.len()).take(samples).cloned().collect()
    }
}
