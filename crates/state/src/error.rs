//! What can go wrong.

use std::path::PathBuf;

use thiserror::Error;
use wgpu_batchnorm_tensors::{Damaged, Dtype};

/// Why state cannot be loaded or saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// More batches than a layer counts on the device.
    #[error(
        "num_batches_tracked is {actual}, expected at most {} for a layer on a device: set it to 0 if its running statistics do not depend on it",
        u32::MAX
    )]
    TooManyBatches {
        /// The count in the checkpoint.
        actual: u64,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file cannot be written. One that was there is unchanged.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are no safetensors file.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// There is nothing of a layer under this prefix.
    #[error("there is no batch normalization layer `{prefix}`: the file has {}", listed(found))]
    NoLayer {
        /// The prefix.
        prefix: String,
        /// The layers that there are.
        found: Vec<String>,
    },
    /// A tensor that the layer needs is absent.
    #[error("tensor `{tensor}` is missing: add it to the file, or load the layer without {part}")]
    Missing {
        /// Its name.
        tensor: String,
        /// What needs it.
        part: &'static str,
    },
    /// A tensor is there that the layer has no use for.
    #[error("tensor `{tensor}` is in the file, expected a layer without {part}: load the layer with it")]
    Unexpected {
        /// Its name.
        tensor: String,
        /// What it belongs to.
        part: &'static str,
    },
    /// A tensor has another shape.
    #[error(
        "tensor `{tensor}` has shape {actual:?}, expected {expected}: is the layer one of this file's model?"
    )]
    Shape {
        /// Its name.
        tensor: String,
        /// Its shape.
        actual: Vec<usize>,
        /// The shape it should have.
        expected: String,
    },
    /// A tensor has an element type that is not converted.
    #[error("tensor `{tensor}` has dtype {actual}, expected {expected}: convert it before it is saved")]
    Dtype {
        /// Its name.
        tensor: String,
        /// Its element type.
        actual: Dtype,
        /// The element types it may have.
        expected: &'static str,
    },
    /// A finite value is too large for f32.
    #[error(
        "tensor `{tensor}` holds {actual:e} at position {index}, expected at most {:e} (f32's largest): scale it down",
        f32::MAX
    )]
    TooLarge {
        /// The tensor's name.
        tensor: String,
        /// The value.
        actual: f64,
        /// Where it is.
        index: usize,
    },
    /// A number of batches is negative.
    #[error(
        "tensor `{tensor}` holds {actual} batches, expected 0 or more: set it to 0 to start counting anew"
    )]
    NegativeCount {
        /// The tensor's name.
        tensor: String,
        /// The number.
        actual: i64,
    },
    /// The state to be saved has nothing in it.
    #[error(
        "the state to be saved is empty, expected a weight, a bias or running statistics: remove the layer instead"
    )]
    Empty,
    /// The parts of the state to be saved have different numbers of channels.
    #[error("{part} has {actual} values, expected {expected}, one per channel as in the parts before it")]
    Length {
        /// The part's name.
        part: &'static str,
        /// How many values it has.
        actual: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The number of batches to be saved is more than PyTorch's I64 holds.
    #[error("num_batches_tracked is {actual}, expected at most {} (PyTorch stores I64)", i64::MAX)]
    CountTooLarge {
        /// The number.
        actual: u64,
    },
}

fn listed(found: &[String]) -> String {
    if found.is_empty() {
        return "none that tracks running statistics: is it one of this model?".to_owned();
    }
    let most = 10;
    let quoted: Vec<_> = found.iter().take(most).map(|prefix| format!("`{prefix}`")).collect();
    let more = found.len().saturating_sub(most);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}: give one of them", quoted.join(", "))
}
