//! Training batch normalization as WGSL compute shaders under [wgpu](https://docs.rs/wgpu): Vulkan,
//! Metal, DX12 and the browser.
//!
//! For each channel c, over its m values (N samples times S spatial positions; fewer with a mask, ghost batches
//! or replicas):
//!
//! ```text
//! batch statistics   mean = Σx / m         variance = Σ(x − mean)² / m
//! forward            σ = √(variance + ε)   x̂ = (x − mean) / σ
//!                    z = γ·x̂ + β + residual          y = activation(z)
//! running            running_mean ← (1 − momentum)·running_mean + momentum·mean
//!                    running_var  ← (1 − momentum)·running_var  + momentum·variance·m/(m − 1)
//! backward           g = dy·activation′(z) = dresidual
//!                    dβ = Σg               dγ = Σg·x̂
//! batch statistics   dx = γ/σ · (g − mean(g) − x̂·mean(g·x̂))
//! other statistics   dx = γ/σ · g
//! ```
//!
//! (S. Ioffe and C. Szegedy, *Batch Normalization*, 2015, Algorithms 1 and 2; `torch.nn.BatchNorm2d`.)
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
//!     weight: Some(weight),
//!     bias: Some(bias),
//!     ..ForwardTensors::new(x.clone(), buffer(shape.elements()), &saved)
//! })?;
//! let backward = batch_norm.bind_backward(&shape, Mode::TRAINING, &BackwardTensors {
//!     dx: Some(dy.clone()), // in place
//!     dweight: Some((buffer(3), Accumulation::Add)), // gradient accumulation
//!     dbias: Some((buffer(3), Accumulation::Add)),
//!     ..BackwardTensors::new(x, dy, &saved)
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
//! # Where to find what
//!
//! | | |
//! |---|---|
//! | float16, bfloat16 | [`Dtype`] |
//! | activations, before or after | [`Activation`], [`Order`] |
//! | residual and its gradient | [`ForwardTensors::residual`], [`BackwardTensors::dresidual`], [`Extras`] |
//! | which statistics normalize, and how the running ones are updated | [`Mode`], [`Source`], [`Momentum`], [`Options::guarded`] |
//! | masks and sequence lengths | [`Mask`] |
//! | ghost batches | [`Options::ghost_batch`] |
//! | `tf.nn.moments`, `tf.nn.batch_normalization` | [`submit_moments`], [`submit_batch_normalization`] |
//! | statistics alone, population statistics, AdaBN | [`BatchNorm::bind_statistics`] |
//! | the folded form for inference | [`Layer::submit_fold`], [`BatchNorm::bind_fold`] |
//! | gradients of gradients | [`BatchNorm::bind_double_backward`] |
//! | several devices or hosts | [`Synchronized`], [`Exchange`]; the crate `wgpu-batchnorm-mpi` |
//! | a layer's state as plain values, for checkpoints | [`LayerValues`] |
//! | the same in float64 on the CPU | [`mod@reference`] |
//!
//! # Numbers
//!
//! Statistics are exact to a few units in the last place whatever the mean: sums are taken relative to
//! a value of the channel, and merged as `{count, mean_hi, mean_lo, M2}`. `y` is within
//! 16·2⁻²⁴·(max|γ·x̂| + |β|) of the exact result and the variance within a relative 2·10⁻⁶; a constant
//! channel gives exactly β. 16-bit results are rounded once. NaN and infinity spread within their channel and no further. The same
//! input, plan and device give the same bits in every run.
//!
//! # In a browser
//!
//! Everything runs on WebGPU for `wasm32-unknown-unknown` too, with the limits that every implementation has, but for
//! what blocks: the methods with `blocking` in their names and [`InProcess`] are not there. The browser reports errors of
//! the device later than the call that causes them: the next call that can fail or download returns them, and
//! [`Context::settled`] waits for them. On a device of your own, those of your own calls go to your handler. Memory of
//! tensors that are only dropped waits for the garbage collector: [`DestroyOnDrop`].
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
mod elementwise;
mod functional;
mod kernels;
mod layer;
mod mask;
mod mode;
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
pub use buffer::{BufferRange, DestroyOnDrop, TensorError};
pub use context::{Context, ContextError};
pub use device::DeviceError;
pub use elementwise::{Activation, Dtype, Order};
pub use functional::{
    BatchNormalization, BatchNormalizationGradients, FunctionalError, Moments, submit_batch_normalization,
    submit_moments,
};
pub use kernels::Step;
pub use layer::{Extras, Gradients, Layer, LayerError, LayerValues};
pub use mask::{Mask, MaskError};
pub use mode::{Mode, Source};
pub use options::{Momentum, Options, OptionsError};
pub use plan::{
    Accumulation, DeviceKind, DeviceTraits, Dispatch, Operation, Pass, Plan, PlanError, Schedule, Traversal,
    Unsuited, Wanted,
};
pub use shape::{Layout, Shape, ShapeError};
pub use state::{BatchStatistics, GivenStatistics, RunningStatistics, RunningValues, SavedStatistics};
#[cfg(not(target_arch = "wasm32"))]
pub use sync::InProcess;
pub use sync::{
    Begun, Exchange, ExchangeError, GradientsWithoutSamples, InTasks, Received, Round, Sent, Sequence,
    SyncError, Synchronized, WithoutSamples,
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
    shared::<DestroyOnDrop>();
    shared::<Mask>();
    shared::<Layer>();
    shared::<Tensor>();
    shared::<SavedStatistics>();
    shared::<RunningStatistics>();
};
