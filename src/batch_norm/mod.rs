//! The recording path: the caller's device, buffers, encoder and submission.

mod bind;
mod cached;
mod error;
mod record;
mod tensors;

pub use error::BatchNormError;
pub use record::{Backward, Forward, Recorder};
pub use tensors::{BackwardTensors, ForwardTensors};

use crate::cache::Cache;
use crate::context::Context;
use crate::options::{Mode, Options, OptionsError};
use crate::plan::{Operation, Plan, PlanError};
use crate::shape::Shape;
use cached::{BindingKey, KEPT_BINDINGS};
use std::sync::{Arc, Mutex};

/// A batch normalization layer that records into the caller's encoder or pass.
///
/// For each channel c, over the N samples and S positions of a batch:
///
/// ```text
/// training     mean = Σx / (N·S),  variance = Σ(x − mean)² / (N·S)
/// evaluation   mean = running_mean,  variance = running_var
///              σ = √(variance + ε),  x̂ = (x − mean) / σ,  y = γ·x̂ + β
/// backward     dβ = Σdy,  dγ = Σdy·x̂
/// training     dx = γ/σ · (dy − mean(dy) − x̂·mean(dy·x̂))
/// evaluation   dx = γ/σ · dy
/// ```
///
/// [`BatchNorm::bind_forward`] and [`BatchNorm::bind_backward`] check everything and make the bind
/// groups, once for a set of buffers; recording what they return makes nothing new. Nothing is
/// submitted, polled or waited for.
///
/// [`BatchNorm::record_forward`] and [`BatchNorm::record_backward`] do both in one call, and keep what
/// they bound for the next one.
#[derive(Clone)]
pub struct BatchNorm {
    context: Context,
    options: Options,
    /// What the last calls of `record_forward` and `record_backward` have bound.
    forwards: Arc<Mutex<Cache<BindingKey, Arc<Forward>>>>,
    backwards: Arc<Mutex<Cache<BindingKey, Arc<Backward>>>>,
}

impl std::fmt::Debug for BatchNorm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchNorm").field("options", &self.options).finish_non_exhaustive()
    }
}

impl BatchNorm {
    /// A layer with these options; its parameters and statistics are the caller's buffers.
    ///
    /// # Errors
    /// [`OptionsError`] if an option is out of its range.
    pub fn new(context: &Context, options: Options) -> Result<Self, OptionsError> {
        options.validate()?;
        let (forwards, backwards) = (Cache::new(KEPT_BINDINGS), Cache::new(KEPT_BINDINGS));
        Ok(Self {
            context: context.clone(),
            options,
            forwards: Arc::new(Mutex::new(forwards)),
            backwards: Arc::new(Mutex::new(backwards)),
        })
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The context.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The dispatches, moves and workspace of `operation` on `shape`.
    ///
    /// # Errors
    /// [`BatchNormError`] if the layer cannot run it.
    pub fn plan(&self, shape: &Shape, operation: Operation) -> Result<Plan, BatchNormError> {
        self.check_shape(shape, operation)?;
        Ok(Plan::new(shape, &self.options, operation, self.context.traits())?)
    }

    /// Bytes of workspace that a pass needs on `shape`, forward or backward in either mode.
    ///
    /// # Errors
    /// [`PlanError`] if the shape is beyond what the kernels can address.
    pub fn workspace_bytes(&self, shape: &Shape) -> Result<u64, PlanError> {
        let mode = Mode::TRAINING;
        let forward = Operation::Forward { mode, in_place: false };
        let backward = Operation::Backward { mode, dx: true, in_place: false, dweight: None, dbias: None };
        let mut bytes = 0;
        for operation in [forward, backward] {
            let plan = Plan::new(shape, &self.options, operation, self.context.traits())?;
            bytes = bytes.max(plan.workspace_bytes());
        }
        Ok(bytes)
    }
}
