//! Runs a case through the recording path of the library, which computes it on a device.
//!
//! Nothing here blocks, so that it runs in a browser too.

mod others;
mod pass;
mod sync;

pub use sync::verify_replica;

use crate as oracle;
use crate::{Case, Kind, Outputs};
use std::error::Error;
use std::fmt;
use wgpu_batchnorm::{
    Activation, BatchNormError, BufferRange, Context, DestroyOnDrop, Dtype, Layout, Momentum, Options, Order,
    PlanError, RunningStatistics, RunningValues, SavedStatistics, Shape, Tensor, Traversal,
};

type AnyError = Box<dyn Error + Send + Sync>;

/// Why a case has no outputs.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The library does not implement what the case asks for: skip it.
    Unsupported(String),
    /// The traversal that the context's schedule asks for does not apply to the case: skip it.
    Inapplicable(String),
    /// The library refused the case, or the device failed.
    Failed(AnyError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(reason) | Self::Inapplicable(reason) => f.write_str(reason),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Error for RunError {}

/// Computes everything that the case's kind lists in `FORMAT.md` on the context's device.
///
/// # Errors
/// [`RunError::Unsupported`] if the case is of a newer format, [`RunError::Inapplicable`] if the context's schedule
/// does not fit it, [`RunError::Failed`] if the library refuses it.
pub async fn run_case(context: &Context, case: &Case) -> Result<Outputs, RunError> {
    if let Some(reason) = case.unsupported() {
        return Err(RunError::Unsupported(reason));
    }
    let is_pass = matches!(case.kind, Kind::Step | Kind::Masked | Kind::Ghost { .. });
    if let Some(traversal) = forced(context).filter(|_| !is_pass) {
        return Err(RunError::Inapplicable(format!("kind `{}` is never {traversal}", case.kind)));
    }
    let outputs = match &case.kind {
        Kind::Step | Kind::Masked | Kind::Ghost { .. } => pass::run(context, case).await,
        Kind::Sync { replicas } => sync::run(context, case, replicas).await,
        Kind::Population { batches } => others::population(context, case, *batches).await,
        Kind::Moments { axes } => others::moments(context, case, axes).await,
        Kind::DoubleBackward => others::double_backward(context, case).await,
        kind => return Err(RunError::Unsupported(format!("kind `{kind}` is not implemented"))),
    };
    outputs.map_err(|error| match error.downcast_ref() {
        Some(BatchNormError::Plan(PlanError::Traversal { .. })) => RunError::Inapplicable(error.to_string()),
        _ if error.is::<NoChoice>() => RunError::Inapplicable(error.to_string()),
        _ => RunError::Failed(error),
    })
}

/// The traversal that is to be tried, where it is another one than any pass can have.
fn forced(context: &Context) -> Option<Traversal> {
    context.schedule().traversal.filter(|&traversal| traversal != Traversal::Split)
}

/// A traversal is forced on passes that have no choice.
#[derive(Debug)]
struct NoChoice(Traversal);

impl fmt::Display for NoChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "passes with constant statistics are never {}", self.0)
    }
}

impl Error for NoChoice {}

/// The options that the case describes.
fn options(case: &Case, channels: usize) -> Result<Options, AnyError> {
    Ok(Options {
        eps: case.epsilon,
        momentum: match case.momentum {
            oracle::Momentum::Average(momentum) => Momentum::MovingAverage(momentum),
            oracle::Momentum::Cumulative => Momentum::Cumulative,
        },
        weight: case.input("weight").is_some(),
        bias: case.input("bias").is_some(),
        running_statistics: case.input("running_mean").is_some() || matches!(case.kind, Kind::Ghost { .. }),
        guarded: case.update == oracle::Update::Guarded,
        dtype: dtype(case)?,
        activation: match &case.activation {
            oracle::Activation::None => Activation::None,
            oracle::Activation::Relu => Activation::Relu,
            oracle::Activation::LeakyRelu { negative_slope } => {
                Activation::LeakyRelu { negative_slope: *negative_slope }
            }
            oracle::Activation::Silu => Activation::Silu,
            oracle::Activation::Gelu => Activation::Gelu,
            oracle::Activation::GeluTanh => Activation::GeluTanh,
            oracle::Activation::Sigmoid => Activation::Sigmoid,
            oracle::Activation::Tanh => Activation::Tanh,
            other => return Err(format!("activation {other:?} is not known").into()),
        },
        order: match case.order {
            oracle::Order::Post => Order::Post,
            oracle::Order::Pre => Order::Pre,
        },
        ghost_batch: match case.kind {
            Kind::Ghost { group } => Some(group),
            _ => None,
        },
        ..Options::new(channels)
    })
}

fn dtype(case: &Case) -> Result<Dtype, AnyError> {
    match &case.dtype {
        oracle::Dtype::F32 => Ok(Dtype::F32),
        oracle::Dtype::F16 => Ok(Dtype::F16),
        oracle::Dtype::BF16 => Ok(Dtype::BF16),
        other => Err(format!("dtype {other} is not known").into()),
    }
}

fn layout(case: &Case) -> Layout {
    match case.layout {
        oracle::Layout::ChannelsFirst => Layout::ChannelsFirst,
        oracle::Layout::ChannelsLast => Layout::ChannelsLast,
    }
}

/// The running statistics before the step, if the case tracks any; ghost batches begin with 0 and 1.
fn running_values(case: &Case, channels: usize) -> Result<Option<RunningValues>, AnyError> {
    let (mean, var) = match (case.values("running_mean"), case.values("running_var")) {
        (Some(mean), Some(var)) => (mean.to_vec(), var.to_vec()),
        _ if matches!(case.kind, Kind::Ghost { .. }) => return Ok(Some(RunningValues::start(channels))),
        _ => return Ok(None),
    };
    Ok(Some(RunningValues::new(mean, var, u32::try_from(case.num_batches_tracked)?)))
}

/// Uploads inputs and makes outputs of one shape, which last as long as this.
struct Maker<'a> {
    context: &'a Context,
    shape: Shape,
    dtype: Dtype,
    made: DestroyOnDrop,
}

impl<'a> Maker<'a> {
    fn new(context: &'a Context, shape: Shape, dtype: Dtype) -> Self {
        Self { context, shape, dtype, made: DestroyOnDrop::default() }
    }

    /// A tensor of N·C·S elements.
    fn full(&self, values: &[f32]) -> Result<Tensor, AnyError> {
        Ok(self.kept(Tensor::upload_as(self.context, self.shape, self.dtype, values)?))
    }

    fn full_zeros(&self) -> Result<Tensor, AnyError> {
        Ok(self.kept(Tensor::zeros_as(self.context, self.shape, self.dtype)?))
    }

    /// A tensor of C f32.
    fn vector(&self, values: &[f32]) -> Result<Tensor, AnyError> {
        let shape = Shape::new(&[1, self.shape.channels()], Layout::ChannelsLast)?;
        Ok(self.kept(Tensor::upload(self.context, shape, values)?))
    }

    fn kept(&self, tensor: Tensor) -> Tensor {
        self.made.add([tensor.range()]);
        tensor
    }

    /// The running statistics before the step, if the case tracks any.
    fn running(&self, case: &Case) -> Result<Option<RunningStatistics>, AnyError> {
        let values = running_values(case, self.shape.channels())?;
        values.map(|values| self.running_of(&values)).transpose()
    }

    fn running_of(&self, values: &RunningValues) -> Result<RunningStatistics, AnyError> {
        let running = RunningStatistics::upload(self.context, values)?;
        self.made.add(running.ranges());
        Ok(running)
    }

    /// The same for what a pass saves.
    fn saved(&self, saved: SavedStatistics) -> SavedStatistics {
        self.made.add([saved.range()]);
        saved
    }

    fn vector_zeros(&self) -> Result<Tensor, AnyError> {
        self.vector(&vec![0.0; self.shape.channels()])
    }

    /// The input of C values with this name, if the case has it.
    fn input(&self, case: &Case, name: &str) -> Result<Option<Tensor>, AnyError> {
        case.values(name).map(|values| self.vector(values)).transpose()
    }
}

fn range(tensor: &Tensor) -> BufferRange {
    tensor.range().clone()
}

/// Records into an encoder of its own, and submits it.
fn submit<E>(
    context: &Context,
    record: impl FnOnce(&mut wgpu_batchnorm::wgpu::CommandEncoder) -> Result<(), E>,
) -> Result<(), E> {
    let descriptor = wgpu_batchnorm::wgpu::CommandEncoderDescriptor { label: Some("case") };
    let mut encoder = context.device().create_command_encoder(&descriptor);
    record(&mut encoder)?;
    context.queue().submit([encoder.finish()]);
    Ok(())
}

/// Adds the tensors that there are, all of one shape.
async fn insert_tensors<const N: usize>(
    outputs: &mut Outputs,
    sizes: &[usize],
    tensors: [(&str, Option<Tensor>); N],
) -> Result<(), AnyError> {
    for (name, tensor) in tensors {
        if let Some(tensor) = tensor {
            outputs.insert(name, sizes.to_vec(), tensor.download().await?);
        }
    }
    Ok(())
}

/// Adds the statistics of the batch.
async fn insert_batch(
    outputs: &mut Outputs,
    context: &Context,
    saved: &SavedStatistics,
) -> Result<(), AnyError> {
    let batch = saved.download(context).await?;
    outputs.insert("batch_mean", vec![batch.mean.len()], batch.mean);
    outputs.insert("batch_var", vec![batch.var.len()], batch.var);
    Ok(())
}

/// Adds the running statistics after the step; without them nothing counts batches, and the count stays.
async fn insert_running(
    outputs: &mut Outputs,
    context: &Context,
    case: &Case,
    running: Option<RunningStatistics>,
) -> Result<(), AnyError> {
    outputs.num_batches_tracked = Some(case.num_batches_tracked);
    if let Some(running) = running {
        let running = running.download(context).await?;
        outputs.insert("running_mean", vec![running.mean.len()], running.mean);
        outputs.insert("running_var", vec![running.var.len()], running.var);
        outputs.num_batches_tracked = Some(running.num_batches_tracked.into());
        outputs.num_batches_skipped = Some(running.num_batches_skipped.into());
    }
    Ok(())
}
