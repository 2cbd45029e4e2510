//! What goes wrong before anything is queued.

use thiserror::Error;
use wgpu_batchnorm::{BatchNormError, OptionsError, ShapeError};

/// Why a layer is not made, a device not shared, or a pass not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Each setting or tensor is in its range, but two of them exclude each other.
    #[error("{actual}, expected {expected}")]
    Settings {
        /// What was asked for.
        actual: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// A tensor has too few axes, or other channels than the layer.
    #[error("{tensor} has shape {actual:?}, expected {expected}")]
    Input {
        /// Which tensor.
        tensor: &'static str,
        /// Its shape.
        actual: Vec<usize>,
        /// What the layer takes.
        expected: String,
    },
    /// The shape has a size of 0, or is beyond what can be addressed.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The pass cannot run on this shape.
    #[error(transparent)]
    BatchNorm(#[from] BatchNormError),
    /// burn has no device of this kind, or has opened it before.
    #[error("the device is not shared with burn: {reason}")]
    Device {
        /// Why, and what to do about it.
        reason: String,
    },
    /// Only wgpu devices are shared.
    #[error("{device} is no device of burn's wgpu backend, expected one of Device::wgpu_options()")]
    OtherBackend {
        /// The device.
        device: String,
    },
}
