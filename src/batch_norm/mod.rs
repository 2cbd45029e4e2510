//! The recording path: the caller's device, buffers, encoder and submission.

mod bind;
mod bind_others;
mod cached;
mod error;
mod record;
pub(crate) mod tensor_list;
mod tensors;

pub use error::BatchNormError;
pub use record::{BoundOperation, Recorder};
pub use tensors::{
    BackwardTensors, DoubleBackwardTensors, FoldTensors, ForwardTensors, MomentsBackwardTensors,
    StatisticsTensors,
};

use crate::buffer::BufferRange;
use crate::cache::Cache;
use crate::context::Context;
use crate::device::DeviceError;
use crate::elementwise::Activation;
use crate::mask::{Mask, MaskError};
use crate::mode::{Mode, Source};
use crate::options::{Options, OptionsError};
use crate::plan::{Accumulation, Operation, Pass, Plan, PlanError, Wanted};
use crate::shape::Shape;
use crate::state::{LeftBy, Origin, SavedStatistics};
use cached::{BindingKey, KEPT_BINDINGS};
use std::sync::{Arc, Mutex};

/// A batch normalization layer that records into the caller's encoder or pass.
///
/// For each channel, over its m values:
///
/// ```text
/// statistics   mean = Σx / m,  variance = Σ(x − mean)² / m; or those that are running or given
/// forward      σ = √(variance + ε),  x̂ = (x − mean) / σ,  y = activation(γ·x̂ + β + residual)
/// backward     g = dy·activation′(γ·x̂ + β + residual) = dresidual,  dβ = Σg,  dγ = Σg·x̂
/// batch        dx = γ/σ · (g − mean(g) − x̂·mean(g·x̂))
/// otherwise    dx = γ/σ · g
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
    forwards: Arc<Mutex<Cache<BindingKey, Arc<BoundOperation>>>>,
    backwards: Arc<Mutex<Cache<BindingKey, Arc<BoundOperation>>>>,
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
        Ok(Self::with_valid(context, options))
    }

    /// The same with options that are known to be in their ranges.
    pub(crate) fn with_valid(context: &Context, options: Options) -> Self {
        let (forwards, backwards) = (Cache::new(KEPT_BINDINGS), Cache::new(KEPT_BINDINGS));
        Self {
            context: context.clone(),
            options,
            forwards: Arc::new(Mutex::new(forwards)),
            backwards: Arc::new(Mutex::new(backwards)),
        }
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
        Ok(self.context.plan(shape, &self.options, operation)?)
    }

    /// Bytes of workspace that any operation needs on `shape`, as far as it can be planned for it.
    ///
    /// # Errors
    /// [`PlanError`] if the shape is beyond what the kernels of a forward pass can address.
    pub fn workspace_bytes(&self, shape: &Shape) -> Result<u64, PlanError> {
        // Held statistics that are updated keep those of the batch beside them; and the groups of samples, which
        // shape the records, may be others backward.
        let held = Mode { source: Source::Running, update: true };
        let sum = Some(Accumulation::Replace);
        let wanted = Wanted { dx: true, dweight: sum, dbias: sum, ..Wanted::default() };
        let forward = Operation::Forward { pass: Mode::EVALUATION.into(), in_place: false };
        let mut bytes = self.context.plan(shape, &self.options, forward)?.workspace_bytes();
        for (mode, mask) in [(Mode::TRAINING, false), (Mode::TRAINING, true), (held, false), (held, true)] {
            let pass = Pass { mask, ..mode.into() };
            for operation in [
                Operation::Forward { pass, in_place: false },
                Operation::Backward { pass, wanted },
                Operation::DoubleBackward { pass, ddweight: false, ddbias: false, grad_weight: false },
            ] {
                // Some need more than others; what cannot be planned cannot be bound either.
                if let Ok(plan) = self.context.plan(shape, &self.options, operation) {
                    bytes = bytes.max(plan.workspace_bytes());
                }
            }
        }
        Ok(bytes)
    }

    /// A new buffer for what a forward pass on `shape` saves, with room for each ghost batch.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for it or is lost.
    pub fn saved_statistics(&self, shape: &Shape) -> Result<SavedStatistics, DeviceError> {
        let channels = self.options.channels;
        let groups = self.saved_bytes(shape) / SavedStatistics::bytes(channels).max(1);
        let groups = usize::try_from(groups).unwrap_or(usize::MAX);
        SavedStatistics::for_groups(&self.context, channels, groups)
    }

    /// What a forward pass has left in `range`, for a host that keeps it in memory of its own and moves it in between:
    /// the caller vouches that a forward pass of this layer's options, on this shape, by the same mode, has left it, and
    /// whether it had a residual and a mask.
    pub fn recalled_statistics(
        &self,
        range: impl Into<BufferRange>,
        shape: &Shape,
        mode: Mode,
        residual: bool,
        mask: bool,
    ) -> SavedStatistics {
        let saved = SavedStatistics::in_range(range, self.options.channels);
        saved.set_origin(self.origin(shape, Pass { mode, residual, mask }, LeftBy::Forward));
        saved
    }

    /// Bytes of that buffer.
    pub(crate) fn saved_bytes(&self, shape: &Shape) -> u64 {
        let operation = Operation::Forward { pass: Mode::TRAINING.into(), in_place: false };
        SavedStatistics::bytes(self.options.channels).saturating_mul(self.groups(shape, operation))
    }

    /// What a backward pass must have in common with its forward pass.
    pub(crate) fn origin(&self, shape: &Shape, pass: Pass, left_by: LeftBy) -> Origin {
        let Options { activation, order, dtype, ghost_batch, .. } = self.options;
        let source = pass.mode.source;
        Origin {
            shape: *shape,
            left_by,
            source,
            mask: pass.mask,
            residual: pass.residual && self.options.gradient_depends_on_output(),
            dtype,
            activation,
            order,
            ghost_batch: ghost_batch.filter(|_| source == Source::Batch && left_by != LeftBy::Replicas),
        }
    }

    /// Groups of samples that have statistics of their own.
    fn groups(&self, shape: &Shape, operation: Operation) -> u64 {
        operation.ghost_batch(&self.options).map_or(1, |group| shape.samples().div_ceil(group) as u64)
    }

    fn check_shape(&self, shape: &Shape, operation: Operation) -> Result<(), BatchNormError> {
        let (actual, expected) = (shape.channels(), self.options.channels);
        if actual != expected {
            return Err(BatchNormError::Channels { shape: *shape, actual, expected });
        }
        let mode = operation.pass().mode;
        if mode.source == Source::Running && !self.options.running_statistics {
            return Err(BatchNormError::NoRunningStatistics);
        }
        let activation = self.options.activation;
        if matches!(operation, Operation::DoubleBackward { .. }) && activation != Activation::None {
            return Err(BatchNormError::Activation { actual: activation });
        }
        if !self.needs_variance(operation) {
            return Ok(());
        }
        if shape.values_per_channel() == 1 {
            return Err(BatchNormError::OneValuePerChannel { shape: *shape });
        }
        match operation.ghost_batch(&self.options) {
            Some(ghost_batch) if shape.spatial() == 1 && shape.samples() % ghost_batch == 1 % ghost_batch => {
                Err(BatchNormError::OneValuePerGhostBatch { shape: *shape, ghost_batch })
            }
            _ => Ok(()),
        }
    }

    /// Whether a single value per channel is too few. Its biased variance is 0, and that of moments alone may be;
    /// what is normalized or kept must have one. Together the replicas may have more values.
    fn needs_variance(&self, operation: Operation) -> bool {
        let Mode { source, update } = operation.pass().mode;
        let updates = update && self.options.running_statistics;
        match operation {
            Operation::Forward { .. } => source == Source::Batch || updates,
            Operation::Statistics { .. } => updates,
            Operation::Backward { .. } | Operation::DoubleBackward { .. } => source == Source::Batch,
            _ => false,
        }
    }

    /// A mask that is known to show a single position is refused where a batch of a single one is.
    fn check_mask(&self, operation: Operation, mask: Option<&Mask>) -> Result<(), MaskError> {
        match mask {
            Some(mask) if mask.shown() == Some(1) && self.needs_variance(operation) => {
                Err(MaskError::OnePosition)
            }
            _ => Ok(()),
        }
    }
}
