//! The recording path: the caller's device, buffers, encoder and submission.

use crate::buffer::{self, Bound, BufferRange, TensorError};
use crate::cache::Cache;
use crate::context::{Context, ProgramError, lock};
use crate::device::DeviceError;
use crate::kernels::Step;
use crate::options::{Mode, Options, OptionsError};
use crate::plan::{Accumulation, Operation, Plan, PlanError};
use crate::program::{BindError, Bindings};
use crate::resource::Resource;
use crate::shape::Shape;
use crate::state::{Origin, RunningStatistics, SavedStatistics};
use std::sync::{Arc, Mutex};
use thiserror::Error;

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

/// What must be equal for bindings to be used again.
#[derive(Clone, PartialEq, Eq, Hash)]
struct BindingKey {
    shape: Shape,
    mode: Mode,
    saved: usize,
    ranges: Vec<Option<BufferRange>>,
    accumulations: [Option<Accumulation>; 2],
}

/// Bindings keep their buffers alive, so only a few are kept: enough for buffers that take turns, two batch
/// sizes (the last one of an epoch is smaller) and both modes.
const KEPT_BINDINGS: usize = 8;

/// The tensors of a forward pass.
#[derive(Clone, Debug)]
pub struct ForwardTensors<'a> {
    /// Input, N·C·S f32.
    pub x: BufferRange,
    /// Output, N·C·S f32; may be exactly `x`.
    pub y: BufferRange,
    /// γ, `[C]` f32; given exactly if [`Options::weight`].
    pub weight: Option<BufferRange>,
    /// β, `[C]` f32; given exactly if [`Options::bias`].
    pub bias: Option<BufferRange>,
    /// Given exactly if [`Options::running_statistics`].
    pub running: Option<&'a RunningStatistics>,
    /// Where the statistics go that the backward pass needs.
    pub saved: &'a SavedStatistics,
    /// [`BatchNorm::workspace_bytes`] for the steps to exchange what they compute; the library's own
    /// if it is `None`.
    pub workspace: Option<BufferRange>,
}

/// The tensors of a backward pass; the gradients that are `None` are not computed.
#[derive(Clone, Debug)]
pub struct BackwardTensors<'a> {
    /// The input of the forward pass, N·C·S f32: not overwritten since.
    pub x: BufferRange,
    /// Gradient of the loss with respect to y, N·C·S f32.
    pub dy: BufferRange,
    /// γ, `[C]` f32; given exactly if [`Options::weight`].
    pub weight: Option<BufferRange>,
    /// What the forward pass saved.
    pub saved: &'a SavedStatistics,
    /// Gradient with respect to x, N·C·S f32; may be exactly `dy`.
    pub dx: Option<BufferRange>,
    /// Gradient with respect to γ, `[C]` f32, and whether it is added to what is there.
    pub dweight: Option<(BufferRange, Accumulation)>,
    /// Gradient with respect to β, `[C]` f32, and whether it is added to what is there.
    pub dbias: Option<(BufferRange, Accumulation)>,
    /// As in [`ForwardTensors::workspace`].
    pub workspace: Option<BufferRange>,
}

/// Why a pass was not bound or recorded; then nothing was recorded.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BatchNormError {
    /// The shape has another number of channels than the layer.
    #[error(
        "{shape} has {actual} channels, expected {expected} as in the layer's options: check the layout (channels first or last)"
    )]
    Channels {
        /// The shape as given.
        shape: Shape,
        /// Its channels.
        actual: usize,
        /// The layer's channels.
        expected: usize,
    },
    /// The gradient has another shape than the input.
    #[error("dy is {dy}, expected {x} as x: give the gradient of the y that x led to")]
    Shapes {
        /// The shape of x.
        x: Shape,
        /// The shape of dy.
        dy: Shape,
    },
    /// Training needs a variance.
    #[error(
        "{shape} has 1 value per channel, expected more than 1 in training: use a larger batch, or Mode::Evaluation"
    )]
    OneValuePerChannel {
        /// The shape as given.
        shape: Shape,
    },
    /// Evaluation normalizes with running statistics, and the layer keeps none.
    #[error(
        "evaluation needs running statistics, and the options have running_statistics = false: set it, or use Mode::Training"
    )]
    NoRunningStatistics,
    /// No forward pass was recorded that left the saved statistics.
    #[error(
        "the saved statistics belong to no forward pass, expected one of {expected}: record the forward pass first"
    )]
    NoForward {
        /// The shape of the backward pass.
        expected: Shape,
    },
    /// The saved statistics were left by a forward pass on another shape or in another mode.
    #[error(
        "the saved statistics belong to a forward pass of {actual} in {actual_mode:?}, expected {expected} in {expected_mode:?}: keep one SavedStatistics for each pass that waits for its backward pass"
    )]
    OtherForward {
        /// The shape of the forward pass.
        actual: Shape,
        /// Its mode.
        actual_mode: Mode,
        /// The shape of the backward pass.
        expected: Shape,
        /// Its mode.
        expected_mode: Mode,
    },
    /// A tensor cannot be bound.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The shape is beyond what the kernels can address.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl From<ProgramError> for BatchNormError {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::Plan(error) => error.into(),
            ProgramError::Device(error) => error.into(),
        }
    }
}

impl From<BindError> for BatchNormError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Tensor(error) => error.into(),
            BindError::Device(error) => error.into(),
        }
    }
}

impl std::fmt::Debug for BatchNorm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchNorm").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Where to record: an encoder, in which a compute pass is begun and ended, or a compute pass.
pub enum Recorder<'a, 'e> {
    /// A pass of its own is begun in this encoder, labelled `batch_norm`.
    Encoder(&'a mut wgpu::CommandEncoder),
    /// The dispatches go into this pass.
    Pass(&'a mut wgpu::ComputePass<'e>),
}

impl<'a> From<&'a mut wgpu::CommandEncoder> for Recorder<'a, '_> {
    fn from(encoder: &'a mut wgpu::CommandEncoder) -> Self {
        Self::Encoder(encoder)
    }
}

impl<'a, 'e> From<&'a mut wgpu::ComputePass<'e>> for Recorder<'a, 'e> {
    fn from(pass: &'a mut wgpu::ComputePass<'e>) -> Self {
        Self::Pass(pass)
    }
}

impl Recorder<'_, '_> {
    fn record(self, bindings: &Bindings, wanted: impl Fn(Step) -> bool) {
        match self {
            Self::Encoder(encoder) => {
                let label = Some("batch_norm");
                let descriptor = wgpu::ComputePassDescriptor { label, timestamp_writes: None };
                bindings.record(&mut encoder.begin_compute_pass(&descriptor), wanted);
            }
            Self::Pass(pass) => bindings.record(pass, wanted),
        }
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

    /// Records a forward pass; binds the tensors only if they are others than in the calls before.
    ///
    /// # Errors
    /// As [`BatchNorm::bind_forward`] and [`Forward::record`]; nothing is recorded then.
    pub fn record_forward<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        shape: &Shape,
        mode: Mode,
        tensors: &ForwardTensors<'_>,
    ) -> Result<(), BatchNormError> {
        let ForwardTensors { x, y, weight, bias, running, saved, workspace } = tensors;
        let running = running.map(|running| [&running.mean, &running.var, &running.num_batches_tracked]);
        let [mean, var, batches] = running.map_or([None; 3], |ranges| ranges.map(Some));
        let ranges =
            [Some(x), Some(y), weight.as_ref(), bias.as_ref(), mean, var, batches, workspace.as_ref()];
        let ranges = ranges.into_iter().map(|range| range.cloned()).collect();
        let key =
            BindingKey { shape: *shape, mode, saved: saved.identity(), ranges, accumulations: [None; 2] };
        let forward = lock(&self.forwards)
            .get_or_make(&key, || self.bind_forward(shape, mode, tensors).map(Arc::new))?;
        forward.record(recorder)
    }

    /// Records a backward pass; binds the tensors only if they are others than in the calls before.
    ///
    /// # Errors
    /// As [`BatchNorm::bind_backward`] and [`Backward::record`]; nothing is recorded then.
    pub fn record_backward<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        shape: &Shape,
        mode: Mode,
        tensors: &BackwardTensors<'_>,
    ) -> Result<(), BatchNormError> {
        let BackwardTensors { x, dy, weight, saved, dx, dweight, dbias, workspace } = tensors;
        let gradient = |gradient: &Option<(BufferRange, Accumulation)>| gradient.clone().unzip();
        let ((dweight, dweight_as), (dbias, dbias_as)) = (gradient(dweight), gradient(dbias));
        let ranges = vec![
            Some(x.clone()),
            Some(dy.clone()),
            weight.clone(),
            dx.clone(),
            dweight,
            dbias,
            workspace.clone(),
        ];
        let accumulations = [dweight_as, dbias_as];
        let key = BindingKey { shape: *shape, mode, saved: saved.identity(), ranges, accumulations };
        let backward = lock(&self.backwards)
            .get_or_make(&key, || self.bind_backward(shape, mode, tensors).map(Arc::new))?;
        backward.record(recorder)
    }

    /// Forgets what [`BatchNorm::record_forward`] and [`BatchNorm::record_backward`] have bound, and
    /// with it the buffers.
    pub fn release_bindings(&self) {
        lock(&self.forwards).clear();
        lock(&self.backwards).clear();
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
        let mode = Mode::Training;
        let forward = Operation::Forward { mode, in_place: false };
        let backward = Operation::Backward { mode, dx: true, in_place: false, dweight: None, dbias: None };
        let mut bytes = 0;
        for operation in [forward, backward] {
            let plan = Plan::new(shape, &self.options, operation, self.context.traits())?;
            bytes = bytes.max(plan.workspace_bytes());
        }
        Ok(bytes)
    }

    /// Checks and binds a forward pass: y = γ·x̂ + β.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then.
    pub fn bind_forward(
        &self,
        shape: &Shape,
        mode: Mode,
        tensors: &ForwardTensors<'_>,
    ) -> Result<Forward, BatchNormError> {
        let ForwardTensors { x, y, weight, bias, running, saved, workspace } = tensors;
        let operation = Operation::Forward { mode, in_place: y.starts_with(x) };
        let mut bound = vec![self.tensor(shape, Resource::X, x)];
        // A result in place of its input is one binding, and shares all its bytes by design.
        let y = self.tensor(shape, Resource::Y, y);
        if y.range.starts_with(x) {
            self.check_tensors(&[y])?;
        } else {
            bound.push(y);
        }
        self.expect("weight", self.options.weight, weight.is_some())?;
        self.expect("bias", self.options.bias, bias.is_some())?;
        self.expect("running", self.options.running_statistics, running.is_some())?;
        bound.extend(weight.as_ref().map(|range| self.per_channel(Resource::Weight, range)));
        bound.extend(bias.as_ref().map(|range| self.per_channel(Resource::Bias, range)));
        if let Some(RunningStatistics { mean, var, num_batches_tracked }) = running {
            bound.push(self.per_channel(Resource::RunningMean, mean));
            bound.push(self.per_channel(Resource::RunningVar, var));
            bound.push(self.per_channel(Resource::NumBatchesTracked, num_batches_tracked));
        }
        bound.push(self.per_channel(Resource::Saved, &saved.range));
        let bindings = self.bind(shape, operation, &bound, workspace.as_ref())?;
        let saved = (*saved).clone();
        Ok(Forward { context: self.context.clone(), bindings, saved, origin: Origin { shape: *shape, mode } })
    }

    /// Checks and binds a backward pass: dx, dγ and dβ, each if it is asked for. `mode` is that of the
    /// forward pass that leaves `saved`.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then. That the forward pass
    /// has been recorded is checked when the backward pass is.
    pub fn bind_backward(
        &self,
        shape: &Shape,
        mode: Mode,
        tensors: &BackwardTensors<'_>,
    ) -> Result<Backward, BatchNormError> {
        let BackwardTensors { x, dy, weight, saved, dx, dweight, dbias, workspace } = tensors;
        let in_place = dx.as_ref().is_some_and(|dx| dx.starts_with(dy));
        let operation = Operation::Backward {
            mode,
            dx: dx.is_some(),
            in_place,
            dweight: dweight.as_ref().map(|(_, accumulation)| *accumulation),
            dbias: dbias.as_ref().map(|(_, accumulation)| *accumulation),
        };
        let mut bound = vec![self.tensor(shape, Resource::X, x), self.tensor(shape, Resource::Dy, dy)];
        if let Some(dx) = dx.as_ref().map(|range| self.tensor(shape, Resource::Dx, range)) {
            if in_place {
                self.check_tensors(&[dx])?;
            } else {
                bound.push(dx);
            }
        }
        self.expect("weight", self.options.weight, weight.is_some())?;
        bound.extend(weight.as_ref().map(|range| self.per_channel(Resource::Weight, range)));
        bound.push(self.per_channel(Resource::Saved, &saved.range));
        bound.extend(dweight.as_ref().map(|(range, _)| self.per_channel(Resource::Dweight, range)));
        bound.extend(dbias.as_ref().map(|(range, _)| self.per_channel(Resource::Dbias, range)));
        let bindings = self.bind(shape, operation, &bound, workspace.as_ref())?;
        let saved = (*saved).clone();
        Ok(Backward {
            context: self.context.clone(),
            bindings,
            saved,
            expected: Origin { shape: *shape, mode },
        })
    }

    fn bind(
        &self,
        shape: &Shape,
        operation: Operation,
        tensors: &[Bound<'_>],
        workspace: Option<&BufferRange>,
    ) -> Result<Bindings, BatchNormError> {
        self.check_shape(shape, operation)?;
        self.context.check_alive()?;
        self.check_tensors(tensors)?;
        let program = self.context.program(shape, &self.options, operation)?;
        let bytes = program.plan.workspace_bytes();
        let workspace = match workspace {
            Some(range) => {
                let all = tensors.iter().copied();
                let workspace = Bound { resource: Resource::Records, name: "workspace", range, bytes };
                self.check_tensors(&all.chain([workspace]).collect::<Vec<_>>())?;
                range.clone()
            }
            None => self.context.workspace(bytes)?,
        };
        Ok(program.bind(&self.context, tensors, &workspace)?)
    }

    fn check_shape(&self, shape: &Shape, operation: Operation) -> Result<(), BatchNormError> {
        let (actual, expected) = (shape.channels(), self.options.channels);
        if actual != expected {
            return Err(BatchNormError::Channels { shape: *shape, actual, expected });
        }
        let (Operation::Forward { mode, .. } | Operation::Backward { mode, .. }) = operation;
        match mode {
            Mode::Training if shape.values_per_channel() == 1 => {
                Err(BatchNormError::OneValuePerChannel { shape: *shape })
            }
            Mode::Evaluation if !self.options.running_statistics => Err(BatchNormError::NoRunningStatistics),
            _ => Ok(()),
        }
    }

    fn expect(&self, tensor: &'static str, wanted: bool, given: bool) -> Result<(), TensorError> {
        match (wanted, given) {
            (true, false) => Err(TensorError::Missing { tensor, reason: "the layer's options have it" }),
            (false, true) => {
                Err(TensorError::Unexpected { tensor, reason: "the layer's options are without it" })
            }
            _ => Ok(()),
        }
    }

    fn tensor<'t>(&self, shape: &Shape, resource: Resource, range: &'t BufferRange) -> Bound<'t> {
        Bound::new(resource, range, shape.elements() as u64 * size_of::<f32>() as u64)
    }

    fn per_channel<'t>(&self, resource: Resource, range: &'t BufferRange) -> Bound<'t> {
        Bound::new(resource, range, resource.bytes_per_channel() * self.options.channels as u64)
    }

    fn check_tensors(&self, tensors: &[Bound<'_>]) -> Result<(), TensorError> {
        let alignment = u64::from(self.context.traits().min_storage_buffer_offset_alignment);
        buffer::check(tensors, alignment, self.context.maker())
    }
}

/// A forward pass bound to its tensors; it can be recorded any number of times.
pub struct Forward {
    context: Context,
    bindings: Bindings,
    saved: SavedStatistics,
    origin: Origin,
}

impl Forward {
    /// Records the pass into an encoder or a compute pass. From then on the saved statistics are this
    /// pass's.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] if the device is known to be lost.
    pub fn record<'a, 'e: 'a>(&self, recorder: impl Into<Recorder<'a, 'e>>) -> Result<(), BatchNormError> {
        self.context.check_alive()?;
        recorder.into().record(&self.bindings, |_| true);
        self.saved.set_origin(self.origin);
        Ok(())
    }

    /// Records the dispatches of one step only, to time it; the others must have run before.
    ///
    /// # Errors
    /// As [`Forward::record`].
    pub fn record_step<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        step: Step,
    ) -> Result<(), BatchNormError> {
        self.context.check_alive()?;
        recorder.into().record(&self.bindings, |each| each == step);
        Ok(())
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        self.bindings.plan()
    }
}

/// A backward pass bound to its tensors; it can be recorded any number of times.
pub struct Backward {
    context: Context,
    bindings: Bindings,
    saved: SavedStatistics,
    expected: Origin,
}

impl Backward {
    /// Records the pass into an encoder or a compute pass.
    ///
    /// # Errors
    /// [`BatchNormError::NoForward`] or [`BatchNormError::OtherForward`] if the saved statistics are not
    /// those of a recorded forward pass of this shape and mode; [`DeviceError::Lost`] if the device is
    /// known to be lost.
    pub fn record<'a, 'e: 'a>(&self, recorder: impl Into<Recorder<'a, 'e>>) -> Result<(), BatchNormError> {
        self.check()?;
        recorder.into().record(&self.bindings, |_| true);
        Ok(())
    }

    /// Records the dispatches of one step only, to time it; the others must have run before.
    ///
    /// # Errors
    /// As [`Backward::record`].
    pub fn record_step<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        step: Step,
    ) -> Result<(), BatchNormError> {
        self.check()?;
        recorder.into().record(&self.bindings, |each| each == step);
        Ok(())
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        self.bindings.plan()
    }

    fn check(&self) -> Result<(), BatchNormError> {
        self.context.check_alive()?;
        let Origin { shape: expected, mode: expected_mode } = self.expected;
        match self.saved.origin() {
            None => Err(BatchNormError::NoForward { expected }),
            Some(origin) if origin != self.expected => Err(BatchNormError::OtherForward {
                actual: origin.shape,
                actual_mode: origin.mode,
                expected,
                expected_mode,
            }),
            Some(_) => Ok(()),
        }
    }
}
