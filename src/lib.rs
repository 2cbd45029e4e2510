//! Training batch normalization as WGSL compute shaders under [wgpu](https://docs.rs/wgpu): Vulkan,
//! Metal, DX12 and the browser.
//!
//! For each channel c, over the N samples and S spatial positions of a batch:
//!
//! ```text
//! training     mean = Σx / (N·S)        variance = Σ(x − mean)² / (N·S)
//! evaluation   mean = running_mean      variance = running_var
//!              x̂ = (x − mean) / √(variance + ε)
//!              y = γ·x̂ + β
//! running      running_mean ← (1 − m)·running_mean + m·mean
//!              running_var  ← (1 − m)·running_var  + m·Σ(x − mean)² / (N·S − 1)
//! backward     dβ = Σdy      dγ = Σdy·x̂
//! training     dx = γ/σ · (dy − mean(dy) − x̂·mean(dy·x̂))
//! evaluation   dx = γ/σ · dy
//! ```
//!
//! There are two levels. [`Layer`] and [`Tensor`] are the short path: upload, forward, backward,
//! download. [`BatchNorm`] is the recording path: it records into your encoder or pass, between your
//! own dispatches, on your device and ranges of your buffers, and never submits, polls or waits.
//!
//! # The short path
//!
//! ```no_run
//! use wgpu_batchnorm::{Context, Layer, Layout, Mode, Options, Shape, Tensor};
//!
//! let context = Context::new_blocking()?;
//! let mut layer = Layer::new(&context, Options::new(3))?;
//! let shape = Shape::new(&[8, 3, 16, 16], Layout::ChannelsFirst)?;
//! let values: Vec<f32> = (0..shape.elements()).map(|i| (i % 17) as f32).collect();
//!
//! let x = Tensor::upload(&context, shape, &values)?;
//! let y = layer.submit_forward(Mode::TRAINING, &x)?;
//! let gradients = layer.submit_backward(&x, &y)?;
//! let dx = gradients.dx.download_blocking()?;
//! assert_eq!(dx.len(), values.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The recording path
//!
//! ```no_run
//! # let own = wgpu_batchnorm::Context::new_blocking()?;
//! # let (device, queue) = (own.device().clone(), own.queue().clone());
//! use wgpu_batchnorm::{wgpu, *};
//!
//! // Your device and your buffers; everything here could be a range of one large buffer.
//! let context = Context::from_device(&device, &queue);
//! let shape = Shape::new(&[8, 3, 16, 16], Layout::ChannelsFirst)?;
//! let buffer = |values: usize| {
//!     BufferRange::from(device.create_buffer(&wgpu::BufferDescriptor {
//!         label: None,
//!         size: 4 * values as u64,
//!         usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
//!         mapped_at_creation: false,
//!     }))
//! };
//! let batch_norm = BatchNorm::new(&context, Options { running_statistics: false, ..Options::new(3) })?;
//! let saved = SavedStatistics::new(&context, 3)?;
//! let (weight, bias) = (buffer(3), buffer(3));
//! let (x, dy) = (buffer(shape.elements()), buffer(shape.elements()));
//!
//! // Everything is checked and bound once …
//! let forward = batch_norm.bind_forward(&shape, Mode::TRAINING, &ForwardTensors {
//!     x: x.clone(),
//!     y: buffer(shape.elements()),
//!     weight: Some(weight.clone()),
//!     bias: Some(bias),
//!     running: None,
//!     saved: &saved,
//!     workspace: None,
//! })?;
//! let backward = batch_norm.bind_backward(&shape, Mode::TRAINING, &BackwardTensors {
//!     x,
//!     dx: Some(dy.clone()), // in place
//!     dy,
//!     weight: Some(weight),
//!     saved: &saved,
//!     dweight: Some((buffer(3), Accumulation::Add)), // gradient accumulation
//!     dbias: Some((buffer(3), Accumulation::Add)),
//!     workspace: None,
//! })?;
//!
//! // … and recorded in every step, into an encoder or a compute pass.
//! let mut encoder = device.create_command_encoder(&Default::default());
//! forward.record(&mut encoder)?;
//! backward.record(&mut encoder)?;
//! queue.submit([encoder.finish()]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Numbers
//!
//! Statistics are exact to a few units in the last place whatever the mean: sums are taken relative to
//! a value of the channel, and merged as `{count, mean_hi, mean_lo, M2}`. `y` is within
//! 16·2⁻²⁴·(max|γ·x̂| + |β|) of the exact result and the variance within a relative 2·10⁻⁶; a constant
//! channel gives exactly β. NaN and infinity spread within their channel and no further. The same
//! input, plan and device give the same bits in every run.
//!
//! # Features
//!
//! `vulkan`, `metal`, `dx12` and `webgpu` choose wgpu's backends; all are on by default, and each has
//! an effect only where it exists.

mod batch_norm;
mod buffer;
mod cache;
mod context;
mod device;
mod functional;
mod kernels;
mod layer;
mod mask;
mod options;
mod params;
mod plan;
mod program;
pub mod reference;
mod resource;
mod shader;
mod shape;
mod state;
mod sync;
mod tensor;

pub use batch_norm::{
    BackwardTensors, BatchNorm, BatchNormError, BoundOperation, DoubleBackwardTensors, FoldTensors,
    ForwardTensors, MomentsBackwardTensors, Recorder, StatisticsTensors,
};
pub use buffer::{BufferRange, TensorError};
pub use context::{Context, ContextError};
pub use device::DeviceError;
pub use functional::{
    BatchNormalization, BatchNormalizationGradients, FunctionalError, Moments, submit_batch_normalization,
    submit_moments,
};
pub use kernels::Step;
pub use layer::{Extras, Gradients, Layer, LayerError};
pub use mask::{Mask, MaskError};
pub use options::{Activation, Dtype, Mode, Momentum, Options, OptionsError, Order, Source};
pub use plan::{Accumulation, DeviceKind, DeviceTraits, Dispatch, Operation, Pass, Plan, PlanError, Wanted};
pub use shape::{Layout, Shape, ShapeError};
pub use state::{BatchStatistics, GivenStatistics, RunningStatistics, RunningValues, SavedStatistics};
pub use sync::{
    Exchange, ExchangeError, GradientsWithoutSamples, InProcess, SyncError, Synchronized, WithoutSamples,
};
pub use tensor::{Tensor, UploadError, Vector};
/// The wgpu that the types here belong to.
pub use wgpu;

#[cfg(all(doctest, not(target_arch = "wasm32")))]
#[doc = include_str!("../README.md")]
struct Readme;

/// wgpu's objects can be shared between threads on native systems, and so can ours.
#[cfg(not(target_arch = "wasm32"))]
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Context>();
    shared::<BatchNorm>();
    shared::<BoundOperation>();
    shared::<Mask>();
    shared::<Layer>();
    shared::<Tensor>();
    shared::<SavedStatistics>();
    shared::<RunningStatistics>();
};
