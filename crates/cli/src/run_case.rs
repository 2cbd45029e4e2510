//! Runs an oracle case through the recording path of the library.
//!
//! Uses public items of the library and the oracle only, and nothing else of this program, so that
//! the tests of the library can include this file.

use std::error::Error;
use std::fmt;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BufferRange, Context, ForwardTensors, Layout, Mode, Momentum,
    Options, RunningStatistics, RunningValues, SavedStatistics, Shape, Tensor, wgpu,
};
use wgpu_batchnorm_oracle::{Activation, Case, Dtype, Kind, Outputs, Stats};

type AnyError = Box<dyn Error + Send + Sync>;

/// Why a case has no outputs.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The library does not implement what the case asks for: skip it.
    Unsupported(String),
    /// The library refused the case, or the device failed.
    Failed(AnyError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(reason) => f.write_str(reason),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Error for RunError {}

/// Computes everything that the case's kind lists in `FORMAT.md` on the context's device.
///
/// # Errors
/// [`RunError::Unsupported`] if the library does not implement the case, [`RunError::Failed`] if it
/// refuses it.
pub(crate) fn run_case(context: &Context, case: &Case) -> Result<Outputs, RunError> {
    match unsupported(case) {
        Some(reason) => Err(RunError::Unsupported(reason)),
        None => step(context, case).map_err(RunError::Failed),
    }
}

/// What the case asks for and the library does not implement, if there is anything.
fn unsupported(case: &Case) -> Option<String> {
    let missing = |what: &str| Some(format!("{what} is not implemented"));
    match case {
        case if case.unsupported().is_some() => case.unsupported(),
        Case { kind, .. } if *kind != Kind::Step => missing(&format!("kind `{kind}`")),
        Case { dtype, .. } if *dtype != Dtype::F32 => missing(&format!("dtype `{dtype}`")),
        Case { activation, .. } if *activation != Activation::None => {
            missing(&format!("activation `{}`", name(activation)))
        }
        case if case.input("residual").is_some() => missing("a residual"),
        _ => None,
    }
}

/// The name of the activation in a case's metadata.
fn name(activation: &Activation) -> &str {
    match activation {
        Activation::None => "none",
        Activation::Relu => "relu",
        Activation::LeakyRelu { .. } => "leaky_relu",
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_tanh",
        Activation::Sigmoid => "sigmoid",
        Activation::Tanh => "tanh",
        Activation::Unknown(name) => name,
        _ => "of another name",
    }
}

/// Forward and backward once, and everything they leave.
fn step(context: &Context, case: &Case) -> Result<Outputs, AnyError> {
    let sizes = case.output_shape("y");
    let shape = Shape::new(&sizes, layout(case))?;
    let mode = if case.stats == Stats::Batch { Mode::TRAINING } else { Mode::EVALUATION };
    let channels = shape.channels();
    // Given statistics normalize in the place of the running ones, which then are not touched at all.
    let given = case.stats == Stats::Given;
    let running = if given { values(case, "given_mean", "given_var")? } else { running_values(case)? };
    let options = Options {
        eps: case.epsilon,
        momentum: match case.momentum {
            wgpu_batchnorm_oracle::Momentum::Average(momentum) => Momentum::MovingAverage(momentum),
            wgpu_batchnorm_oracle::Momentum::Cumulative => Momentum::Cumulative,
        },
        weight: case.input("weight").is_some(),
        bias: case.input("bias").is_some(),
        running_statistics: running.is_some(),
        ..Options::new(channels)
    };
    let batch_norm = BatchNorm::new(context, options)?;

    let full = |name| Tensor::upload(context, shape, case.values(name).unwrap_or_default());
    let vector = Shape::new(&[1, channels], Layout::ChannelsLast)?;
    let upload = |name| case.values(name).map(|values| Tensor::upload(context, vector, values)).transpose();
    let (x, dy, weight, bias) = (full("x")?, full("dy")?, upload("weight")?, upload("bias")?);
    let running = running.map(|values| RunningStatistics::upload(context, &values)).transpose()?;
    let saved = SavedStatistics::new(context, channels)?;
    let (y, dx) = (Tensor::zeros(context, shape)?, Tensor::zeros(context, shape)?);
    let gradient = |wanted: bool| wanted.then(|| Tensor::zeros(context, vector)).transpose();
    let (dweight, dbias) = (gradient(options.weight)?, gradient(options.bias)?);

    let forward = ForwardTensors {
        x: x.range().clone(),
        y: y.range().clone(),
        weight: weight.as_ref().map(range),
        bias: bias.as_ref().map(range),
        running: running.as_ref(),
        saved: &saved,
        workspace: None,
    };
    let replaced = |tensor: &Tensor| (range(tensor), Accumulation::Replace);
    let backward = BackwardTensors {
        x: x.range().clone(),
        dy: dy.range().clone(),
        weight: weight.as_ref().map(range),
        saved: &saved,
        dx: Some(dx.range().clone()),
        dweight: dweight.as_ref().map(replaced),
        dbias: dbias.as_ref().map(replaced),
        workspace: None,
    };
    let descriptor = wgpu::CommandEncoderDescriptor { label: Some("case") };
    let mut encoder = context.device().create_command_encoder(&descriptor);
    batch_norm.bind_forward(&shape, mode, &forward)?.record(&mut encoder)?;
    batch_norm.bind_backward(&shape, mode, &backward)?.record(&mut encoder)?;
    context.queue().submit([encoder.finish()]);

    let mut outputs = Outputs::default();
    outputs.insert("y", sizes.clone(), y.download_blocking()?);
    outputs.insert("dx", sizes, dx.download_blocking()?);
    for (name, gradient) in [("dweight", dweight), ("dbias", dbias)] {
        if let Some(gradient) = gradient {
            outputs.insert(name, vec![channels], gradient.download_blocking()?);
        }
    }
    if mode == Mode::TRAINING {
        let batch = pollster::block_on(saved.download(context))?;
        outputs.insert("batch_mean", vec![channels], batch.mean);
        outputs.insert("batch_var", vec![channels], batch.var);
    }
    // Without running statistics nothing counts batches, and the count stays what it was.
    outputs.num_batches_tracked = Some(case.num_batches_tracked);
    if let Some(running) = running.filter(|_| !given) {
        let running = pollster::block_on(running.download(context))?;
        outputs.insert("running_mean", vec![channels], running.mean);
        outputs.insert("running_var", vec![channels], running.var);
        outputs.num_batches_tracked = Some(running.num_batches_tracked.into());
    }
    Ok(outputs)
}

fn layout(case: &Case) -> Layout {
    match case.layout {
        wgpu_batchnorm_oracle::Layout::ChannelsFirst => Layout::ChannelsFirst,
        wgpu_batchnorm_oracle::Layout::ChannelsLast => Layout::ChannelsLast,
    }
}

/// The running statistics before the step, if the case tracks any.
fn running_values(case: &Case) -> Result<Option<RunningValues>, AnyError> {
    values(case, "running_mean", "running_var")
}

/// Statistics under these names, if the case has them.
fn values(case: &Case, mean: &str, var: &str) -> Result<Option<RunningValues>, AnyError> {
    let (Some(mean), Some(var)) = (case.values(mean), case.values(var)) else {
        return Ok(None);
    };
    let num_batches_tracked = u32::try_from(case.num_batches_tracked)?;
    Ok(Some(RunningValues { mean: mean.to_vec(), var: var.to_vec(), num_batches_tracked }))
}

fn range(tensor: &Tensor) -> BufferRange {
    tensor.range().clone()
}
