//! Batch normalization state as PyTorch stores it, in safetensors files: plain values, no device.
//!
//! A layer that PyTorch calls `layer1.0.bn1` is up to five tensors: `layer1.0.bn1.weight`, `.bias`,
//! `.running_mean`, `.running_var`, each with a value per channel, and `.num_batches_tracked`, a number.
//!
//! ```
//! use wgpu_batchnorm_state::{Checkpoint, LayerState, Parts, Running};
//!
//! let mut checkpoint = Checkpoint::new(); // or Checkpoint::load(path)?
//! let state = LayerState {
//!     weight: Some(vec![1.0, 0.5]),
//!     bias: Some(vec![0.0, -1.0]),
//!     running: Some(Running { num_batches_tracked: Some(7), ..Running::start(2) }),
//! };
//! checkpoint.set_layer("layer1.0.bn1", &state)?;
//! let bytes = checkpoint.to_bytes(); // or checkpoint.save(path)?
//!
//! let checkpoint = Checkpoint::from_bytes(&bytes)?;
//! assert_eq!(checkpoint.layers(), ["layer1.0.bn1"]);
//! assert_eq!(checkpoint.layer("layer1.0.bn1", &Parts::new(2))?, state);
//! # Ok::<(), wgpu_batchnorm_state::StateError>(())
//! ```
//!
//! With the feature `layer`, states convert to and from the values of a layer on a device:
//!
//! ```ignore
//! layer.set_values(&checkpoint.layer("bn1", &Parts::new(64))?.try_into()?)?;
//! checkpoint.set_layer("bn1", &layer.values_blocking()?.into())?;
//! ```
//!
//! In PyTorch, `module.load_state_dict(safetensors.torch.load_file(path), strict=True)` takes what is
//! saved here, and `safetensors.torch.save_file(module.state_dict(), path)` writes what is loaded here.

mod checkpoint;
mod error;
mod file;
mod layer;
#[cfg(feature = "layer")]
mod values;

pub use checkpoint::Checkpoint;
pub use error::StateError;
pub use layer::{LayerState, Parts, Running};
pub use wgpu_batchnorm_tensors::{Damaged, Dtype};
