//! Batch normalization for [burn](https://burn.dev) on the compute shaders of [`wgpu_batchnorm`]: a replacement of
//! `burn::nn::BatchNorm` that reads and writes burn's own buffers, under autodiff, with and without fusion.
//!
//! A model changes one import:
//!
//! ```no_run
//! // use burn::nn::{BatchNorm, BatchNormConfig};
//! use burn_batchnorm::{BatchNorm, BatchNormConfig};
//!
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::default().autodiff();
//! let norm: BatchNorm = BatchNormConfig::new(64).init(&device);
//! let y = norm.forward(Tensor::<4>::zeros([8, 64, 14, 14], &device));
//! ```
//!
//! # What it computes
//!
//! For each channel, over its m values:
//!
//! ```text
//! training    mean = Σx / m,  variance = Σ(x − mean)² / m,  of the batch
//! inference   mean and variance are the running ones
//! forward     x̂ = (x − mean) / √(variance + ε),  y = activation(γ·x̂ + β + residual)
//! running     running ← (1 − momentum)·running + momentum·batch
//! ```
//!
//! The batch trains if its device has autodiff and the layer is not frozen, as with burn's own. One thing differs unless
//! it is asked for: the variance that enters the running one is unbiased, Σ(x − mean)² / (m − 1), as PyTorch has it;
//! [`RunningVariance::Biased`] is burn's.
//!
//! # On which devices
//!
//! On burn's wgpu backend, if the device is shared with this crate, passes run in our shaders, on burn's buffers, in the
//! order of burn's stream. A device is shared
//! - by itself, if a layer is made before burn has made a tensor on it, which is what programs do that make their model
//!   first;
//! - by [`init_device`], which opens it for both;
//! - by [`share`], for programs that bring a device of their own to burn.
//!
//! On every other backend, on a wgpu device that burn had opened alone, and for element types other than float32 and
//! float16, the same is composed of burn's own operations (in float64 for float64, else in float32), with the same results, and
//! that is logged as a warning. [`route`] tells which it is on a device.
//!
//! # Features
//!
//! `fusion` must be on exactly if burn's own feature of that name is: both are by default.
//!
//! # Known limits
//!
//! - burn 0.22 differentiates once: there is no gradient of a gradient.
//! - With Mesa's software adapter (llvmpipe) burn's own reductions over 262,144 elements and more are wrong, `burn::nn::BatchNorm`
//!   among them, since that driver ends every loop at 65,535 iterations. Ours are right there.
//! - Passes are submitted by themselves, so that burn's pending work is submitted before each; they are invisible to burn's
//!   profiling and graph capture.
//! - Under burn's `vulkan` and `metal` features this has not been tried.

mod composed;
mod config;
mod device;
mod error;
mod module;
mod on_wgpu;
mod ops;
mod state;

pub use config::{Activation, BatchNormConfig, Layout, Order, RunningVariance};
pub use device::{Route, init_device, route, share};
pub use error::Error;
pub use module::BatchNorm;
