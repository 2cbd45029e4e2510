//! What can go wrong with files. What is wrong with an output is a [`Failure`](crate::Failure).

use std::path::PathBuf;

use thiserror::Error;
use wgpu_batchnorm_tensors::Damaged;

use crate::Dtype;

/// Why a file is no case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are no safetensors file: not one at all, damaged or truncated.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// A metadata value that this kind of case needs is absent.
    #[error("metadata `{key}` is missing: {needed_by} needs it")]
    MissingMetadata {
        /// Its key.
        key: String,
        /// What needs it.
        needed_by: String,
    },
    /// A metadata value cannot be understood.
    #[error("metadata `{key}` is {actual:?}, expected {expected}")]
    Metadata {
        /// Its key.
        key: String,
        /// The value as stored.
        actual: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A tensor that this case needs is absent.
    #[error("tensor `{tensor}` is missing: {needed_by} needs it")]
    MissingTensor {
        /// Its name.
        tensor: String,
        /// What needs it.
        needed_by: String,
    },
    /// A tensor has another shape than the rest of the case implies.
    #[error("tensor `{tensor}` has shape {actual:?}, expected {expected}")]
    Shape {
        /// Its name.
        tensor: String,
        /// Its shape.
        actual: Vec<usize>,
        /// The shape it should have.
        expected: String,
    },
    /// A tensor has another element type than the format says.
    #[error("tensor `{tensor}` has dtype {actual}, expected {expected}")]
    Dtype {
        /// Its name.
        tensor: String,
        /// Its element type.
        actual: Dtype,
        /// The element type it should have.
        expected: String,
    },
    /// A bound is negative or not a number, so nothing could be judged by it.
    #[error("bound `{tensor}` holds {actual} at position {index}, expected a number of at least 0")]
    Bound {
        /// Its name.
        tensor: String,
        /// The value.
        actual: f32,
        /// Where it is.
        index: usize,
    },
}

/// Why outputs cannot be saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The number of values is not the product of the sizes.
    #[error("output `{tensor}` has {actual} values, expected as many as shape {shape:?} holds")]
    Length {
        /// The output's name.
        tensor: String,
        /// How many values it has.
        actual: usize,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Why case files cannot be listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FindError {
    /// A path does not exist, or cannot be looked at.
    #[error("cannot open {}: {source}: give case files (*.safetensors) or folders of them", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}
