//! The page of wgpu-batchnorm: the same shaders on WebGPU, on the visitor's own GPU. It [checks](check) every oracle
//! case, [measures](measure) passes beside a copy, and shows two networks [train], one with batch normalization and
//! one without.
//!
//! Everything but `page`, which is what JavaScript calls, also runs natively, where it is tested.

pub mod check;
pub mod measure;
#[cfg(target_arch = "wasm32")]
pub mod page;
pub mod train;

pub use wgpu_batchnorm_digits as digits;
