//! The handwritten digits of `data/digits.csv.gz`: 1,797 images of 8×8 pixels (E. Alpaydin and C. Kaynak, 1998; see
//! `data/README.md`), for the programs that show training. With the feature `replicas` also a network that several of
//! them train with (the module `replicas`).

#[cfg(feature = "replicas")]
pub mod replicas;

use flate2::read::GzDecoder;
use thiserror::Error;

/// Pixels of an image.
pub const PIXELS: usize = 64;
/// The digits from 0 to 9.
pub const CLASSES: usize = 10;

const FILE: &[u8] = include_bytes!("../../../data/digits.csv.gz");
/// The largest value of a pixel in the file.
const WHITE: f32 = 16.0;
/// Images at the end of the file that no network trains with: the test set.
const TEST_IMAGES: usize = 297;

/// Images with what they show.
#[derive(Clone, Debug, Default)]
pub struct Digits {
    /// [`PIXELS`] of each image, from −1 to 1.
    pub pixels: Vec<f32>,
    /// What each image shows.
    pub labels: Vec<u32>,
}

/// Why there are no digits.
#[derive(Debug, Error)]
pub enum DigitsError {
    /// The file is damaged.
    #[error("digits.csv.gz cannot be read: {0}; it is part of the program, so build it anew")]
    Read(#[from] csv::Error),
    /// A row is no image with its label.
    #[error("row {row} of digits.csv.gz has {actual} numbers, expected {expected}: pixels and the digit", expected = PIXELS + 1)]
    Row {
        /// From 0 on.
        row: usize,
        /// Its numbers.
        actual: usize,
    },
}

impl Digits {
    /// The training set and the test set.
    ///
    /// # Errors
    /// [`DigitsError`] if the file is damaged.
    pub fn load() -> Result<[Self; 2], DigitsError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(GzDecoder::new(FILE));
        let mut all = Self::default();
        for (row, numbers) in reader.deserialize::<Vec<u8>>().enumerate() {
            let numbers = numbers?;
            match numbers.split_last() {
                Some((&label, pixels)) if pixels.len() == PIXELS && usize::from(label) < CLASSES => {
                    all.pixels.extend(pixels.iter().map(|&pixel| f32::from(pixel) / (WHITE / 2.0) - 1.0));
                    all.labels.push(label.into());
                }
                _ => return Err(DigitsError::Row { row, actual: numbers.len() }),
            }
        }
        let first = all.len().saturating_sub(TEST_IMAGES);
        let test = Self { pixels: all.pixels.split_off(first * PIXELS), labels: all.labels.split_off(first) };
        Ok([all, test])
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images with these numbers, in this order.
    #[must_use]
    pub fn batch(&self, numbers: &[usize]) -> Self {
        let pixels = numbers.iter().filter_map(|&number| self.pixels.chunks_exact(PIXELS).nth(number));
        let labels = numbers.iter().filter_map(|&number| self.labels.get(number));
        Self { pixels: pixels.flatten().copied().collect(), labels: labels.copied().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_there_once() -> Result<(), DigitsError> {
        let [train, test] = Digits::load()?;
        assert_eq!((train.len(), test.len()), (1500, 297));
        for digits in [&train, &test] {
            assert_eq!(digits.pixels.len(), digits.len() * PIXELS);
            assert!(digits.pixels.iter().all(|pixel| (-1.0..=1.0).contains(pixel)));
            assert!((0..CLASSES as u32).all(|digit| digits.labels.contains(&digit)));
        }
        // The first row of the file shows a 0, whose third pixel is 5.
        assert_eq!((train.labels[0], train.pixels[2]), (0, 5.0 / 8.0 - 1.0));
        Ok(())
    }

    #[test]
    fn a_batch_has_the_images_in_its_order() -> Result<(), DigitsError> {
        let [train, _] = Digits::load()?;
        let batch = train.batch(&[7, 3]);
        assert_eq!(batch.labels, [train.labels[7], train.labels[3]]);
        assert_eq!(batch.pixels[PIXELS..], train.pixels[3 * PIXELS..4 * PIXELS]);
        Ok(())
    }
}
