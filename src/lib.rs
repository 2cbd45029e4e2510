//! Training batch normalization as WGSL compute shaders under wgpu.
mod batch_norm;
mod buffer;
mod cache;
mod context;
mod device;
mod kernels;
mod layer;
mod options;
mod params;
mod plan;
mod program;
pub mod reference;
mod resource;
mod shader;
mod shape;
mod state;

pub use batch_norm::{
    Backward, BackwardTensors, BatchNorm, BatchNormError, Forward, ForwardTensors, Recorder,
};
pub use buffer::{BufferRange, TensorError};
pub use context::{Context, ContextError};
pub use device::DeviceError;
pub use kernels::Step;
pub use layer::{Gradients, Layer, LayerError, Tensor, UploadError, Vector};
pub use options::{Mode, Momentum, Options, OptionsError};
pub use plan::{Accumulation, DeviceKind, DeviceTraits, Dispatch, Operation, Plan, PlanError};
pub use shape::{Layout, Shape, ShapeError};
pub use state::{BatchStatistics, RunningStatistics, RunningValues, SavedStatistics};
pub use wgpu;
