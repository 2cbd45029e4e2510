//! Safetensors files, in one place for all that read or write them.
//!
//! Reading never panics, whatever the bytes: the header goes through the safetensors crate, and the rest
//! is done here, because that crate's own reader adds up the sizes a header claims unchecked and can
//! overflow on a hostile file. Writing gives the same bytes in every run, which that crate does not: it
//! keeps metadata in a hash map.
//!
//! ```
//! use std::collections::BTreeMap;
//! use wgpu_batchnorm_tensors::{Dtype, File, Tensor};
//!
//! let mut file = File::default();
//! file.metadata.insert("format".to_owned(), "pt".to_owned());
//! file.tensors.insert("weight".to_owned(), Tensor::from_f32(vec![2], &[1.0, 0.5])?);
//! let bytes = file.to_bytes();
//! let weight = &File::parse(&bytes)?.tensors["weight"];
//! assert_eq!((weight.dtype(), weight.shape()), (Dtype::F32, [2].as_slice()));
//! assert_eq!(weight.to_f32(), Some(vec![1.0, 0.5]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod file;
mod tensor;

pub use file::{Damaged, File};
pub use safetensors::tensor::Dtype;
pub use tensor::{LengthError, Tensor};
