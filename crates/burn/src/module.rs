//! The layer.

use crate::Error;
use crate::composed;
use crate::config::{Activation, Layout, Order, RunningVariance};
use crate::device::{Engine, engine};
use crate::ops::{BatchNormOps, Call, Forward};
use burn::backend::Dispatch;
use burn::module::{Content, DisplaySettings, Flag, Module, ModuleDisplay, Param, RunningState};
use burn::tensor::{DType, Tensor};
use std::sync::{Arc, Once};
use wgpu_batchnorm::{Dtype, Mode, Momentum, Operation, Options, Pass, Shape, Source};

/// What burn's own layer has no setting for.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) cumulative: bool,
    pub(crate) running_variance: RunningVariance,
    pub(crate) activation: Activation,
    pub(crate) order: Order,
    pub(crate) layout: Layout,
}

impl Settings {
    /// The settings of the shaders, with γ, β and no running statistics.
    pub(crate) fn options(&self, channels: usize, eps: f64, momentum: f64) -> Options {
        Options {
            eps,
            momentum: Momentum::MovingAverage(momentum),
            running_statistics: false,
            activation: self.activation.into(),
            order: match self.order {
                Order::AfterNormalization => wgpu_batchnorm::Order::Post,
                Order::BeforeNormalization => wgpu_batchnorm::Order::Pre,
            },
            ..Options::new(channels)
        }
    }
}

/// Batch normalization over `[N, C, …]`, or `[N, …, C]` with [`Layout::ChannelsLast`]: a replacement of
/// `burn::nn::BatchNorm`, made by a [`BatchNormConfig`](crate::BatchNormConfig).
///
/// ```text
/// y = activation(γ·(x − mean) / √(variance + ε) + β + residual)
/// ```
///
/// In training mean and variance are the batch's, over its N·S values a channel; in inference they are the running ones. It
/// trains on a device with autodiff, unless it is [frozen](Module::freeze). Its record has the names of burn's own layer, so
/// that either loads what the other one has saved.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BatchNorm {
    /// γ, `[C]`.
    pub gamma: Option<Param<Tensor<1>>>,
    /// β, `[C]`.
    pub beta: Option<Param<Tensor<1>>>,
    /// Whether the layer trains where its device allows it.
    pub training: Param<Flag>,
    /// The running mean, `[C]`.
    pub running_mean: Option<RunningState<Tensor<1>>>,
    /// The running variance, `[C]`.
    pub running_var: Option<RunningState<Tensor<1>>>,
    /// The batches so far, `[1]`, if the running statistics are the mean over all of them. burn's own layer has no such count,
    /// and PyTorch's (`num_batches_tracked`) is not read: after loading either's running statistics, set
    /// it, or the next batch replaces them.
    pub batches: Option<RunningState<Tensor<1>>>,
    /// C.
    pub num_features: usize,
    /// The weight of the new batch in the running statistics.
    pub momentum: f64,
    /// ε.
    pub epsilon: f64,
    #[module(skip)]
    pub(crate) settings: Settings,
}

/// Ends with the message of an error, as burn's own layers do.
#[expect(
    clippy::panic,
    reason = "burn's interface returns no errors; there is a method that does beside each"
)]
pub(crate) fn fail<T>(error: Error) -> T {
    panic!("{error}")
}

impl BatchNorm {
    /// y of x; in training the running statistics take in the batch.
    ///
    /// # Panics
    /// With the message of [`BatchNorm::try_forward`]'s error.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        self.try_forward(input, None).unwrap_or_else(fail)
    }

    /// The same with a residual, which is added after γ·x̂ + β and before an activation, in the same pass.
    ///
    /// # Panics
    /// With the message of [`BatchNorm::try_forward`]'s error.
    pub fn forward_residual<const D: usize>(&self, input: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        self.try_forward(input, Some(residual)).unwrap_or_else(fail)
    }

    /// Both, with errors as values.
    ///
    /// # Errors
    /// [`Error`] if the input's shape is not the layer's, or has a single value per channel in training, which has no
    /// variance; nothing is queued then.
    pub fn try_forward<const D: usize>(
        &self,
        input: Tensor<D>,
        residual: Option<Tensor<D>>,
    ) -> Result<Tensor<D>, Error> {
        let sizes = input.dims();
        let sizes = self.sizes("the input", &sizes)?;
        if let Some(residual) = residual.as_ref().filter(|residual| residual.dims() != input.dims()) {
            return Err(Error::Input {
                tensor: "the residual",
                actual: residual.dims().to_vec(),
                expected: format!("that of the input, {:?}", input.dims()),
            });
        }
        self.check_state()?;
        let layout = match self.settings.layout {
            Layout::ChannelsFirst => wgpu_batchnorm::Layout::ChannelsFirst,
            Layout::ChannelsLast => wgpu_batchnorm::Layout::ChannelsLast,
        };
        let shape = Shape::new(&sizes, layout)?;
        let (device, dtype) = (input.device(), input.dtype());
        let trains = device.is_autodiff() && self.training.is_enabled();
        let mode = match &self.running_mean {
            Some(_) if !trains => Mode::GIVEN,
            _ => Mode { source: Source::Batch, update: trains },
        };
        let dims = input.dims();
        let x = input.reshape(sizes);
        let residual = residual.map(|residual| residual.reshape(sizes).cast(dtype));
        let y = match (engine(&device), dtype_of(dtype)) {
            (Ok(engine), Some(dtype)) => self.in_shaders(x, residual, shape, mode, engine, dtype)?,
            (Ok(_), None) => {
                warn_of_dtype(dtype);
                self.composed(x, residual, shape, mode)?
            }
            (Err(_), _) => self.composed(x, residual, shape, mode)?,
        };
        Ok(y.reshape(dims))
    }

    /// `[N, C, S]` or `[N, S, C]`.
    fn sizes(&self, tensor: &'static str, sizes: &[usize]) -> Result<[usize; 3], Error> {
        let wrong = || {
            let channels = self.num_features;
            let expected = match self.settings.layout {
                Layout::ChannelsFirst => format!("[N, {channels}, …]"),
                Layout::ChannelsLast => format!("[N, …, {channels}]"),
            };
            Error::Input { tensor, actual: sizes.to_vec(), expected }
        };
        let found = match (self.settings.layout, sizes) {
            (Layout::ChannelsFirst, [n, c, rest @ ..]) => (*c, [*n, *c, rest.iter().product()]),
            (Layout::ChannelsLast, [n, rest @ .., c]) => (*c, [*n, rest.iter().product(), *c]),
            _ => return Err(wrong()),
        };
        if found.0 == self.num_features { Ok(found.1) } else { Err(wrong()) }
    }

    fn in_shaders(
        &self,
        x: Tensor<3>,
        residual: Option<Tensor<3>>,
        shape: Shape,
        mode: Mode,
        engine: Engine,
        dtype: Dtype,
    ) -> Result<Tensor<3>, Error> {
        let Settings { cumulative, running_variance, .. } = self.settings;
        let [weight, bias] = self.parameters(DType::F32);
        // The kernels know the moving average with the unbiased variance.
        let in_kernel = mode.update
            && self.running_mean.is_some()
            && !cumulative
            && running_variance == RunningVariance::Unbiased;
        let options = Options {
            weight: weight.is_some(),
            bias: bias.is_some(),
            running_statistics: in_kernel,
            dtype,
            ..self.settings.options(self.num_features, self.epsilon, self.momentum)
        };
        let layer = wgpu_batchnorm::BatchNorm::new(engine.context(), options)?;
        let pass = Pass { mode, residual: residual.is_some(), mask: false };
        // What cannot run is told here; in burn's queue it could only panic.
        layer.plan(&shape, Operation::Forward { pass, in_place: false })?;

        let device = x.device();
        let call = Call { engine, layer: Arc::new(layer), shape, mode, residual: residual.is_some() };
        let stand_in = || x.clone().into_dispatch();
        let [weight, bias] = [weight, bias].map(|it| it.map_or_else(stand_in, Tensor::into_dispatch));
        let statistics = if in_kernel || mode.source == Source::Given {
            self.running(&device, DType::F32, mode.update)
        } else {
            None
        };
        let (mean, var) = statistics.map_or_else(
            || (stand_in(), stand_in()),
            |(mean, var)| (mean.detach().into_dispatch(), var.detach().into_dispatch()),
        );
        let residual = residual.map_or_else(stand_in, Tensor::into_dispatch);
        let Forward { y, saved, mean, var } = <Dispatch as BatchNormOps>::batch_norm_forward(
            x.into_dispatch(),
            weight,
            bias,
            residual,
            mean,
            var,
            call,
        );
        if in_kernel {
            self.keep(Tensor::from_dispatch(mean), Tensor::from_dispatch(var));
        } else if mode.update {
            // Planes 0 and 2: the mean, and the biased variance.
            let saved = Tensor::<1>::from_dispatch(saved).detach();
            let plane = |i: usize| saved.clone().narrow(0, i * self.num_features, self.num_features);
            self.take_in(plane(0), plane(2), shape.values_per_channel());
        }
        Ok(Tensor::from_dispatch(y))
    }

    fn composed(
        &self,
        x: Tensor<3>,
        residual: Option<Tensor<3>>,
        shape: Shape,
        mode: Mode,
    ) -> Result<Tensor<3>, Error> {
        let (device, last) = (x.device(), self.settings.layout == Layout::ChannelsLast);
        let options = self.settings.options(self.num_features, self.epsilon, self.momentum);
        options.validate()?;
        if mode.source == Source::Batch && shape.values_per_channel() == 1 {
            return Err(wgpu_batchnorm::BatchNormError::OneValuePerChannel { shape }.into());
        }
        // Half precision is for tensors, not for sums of theirs.
        let dtype = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let turned = |tensor: Tensor<3>| if last { tensor.swap_dims(1, 2) } else { tensor };
        let full = |value: f32| Tensor::full([self.num_features], value, (&device, dtype));
        let [weight, bias] = self.parameters(dtype);
        let affine = (weight.unwrap_or_else(|| full(1.0)), bias.unwrap_or_else(|| full(0.0)));
        let given = if mode.source == Source::Given { self.running(&device, dtype, false) } else { None };
        let x = (turned(x), dtype);
        let (y, statistics) =
            composed::forward(x, affine, residual.map(turned), given, self.epsilon, &self.settings);
        if let (true, Some((mean, var))) = (mode.update, statistics) {
            self.take_in(mean, var, shape.values_per_channel());
        }
        Ok(turned(y))
    }
}

/// Says once that a pass runs in burn's operations though its device is shared.
fn warn_of_dtype(dtype: DType) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        log::warn!(
            "batch normalization of {dtype:?} tensors is composed of burn's operations, which is slower: the shaders have \
             float32 and float16"
        );
    });
}

/// The element types that both our shaders and burn's wgpu backend have.
fn dtype_of(dtype: DType) -> Option<Dtype> {
    match dtype {
        DType::F32 => Some(Dtype::F32),
        DType::F16 => Some(Dtype::F16),
        _ => None,
    }
}

/// The momentum of a layer whose running statistics are the mean over all batches, as it is shown.
#[derive(Debug)]
struct Cumulative;

impl ModuleDisplay for BatchNorm {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let Self { num_features, momentum, epsilon, settings, .. } = self;
        let mut content = content.add("num_features", num_features);
        content = match (&self.running_mean, settings.cumulative) {
            (None, _) => content.add_debug_attribute("running_statistics", &false),
            (Some(_), true) => content.add_debug_attribute("momentum", &Cumulative),
            (Some(_), false) => content.add("momentum", momentum),
        };
        content = content.add("epsilon", epsilon);
        if self.gamma.is_none() {
            content = content.add("affine", &false);
        }
        if settings.running_variance != RunningVariance::Unbiased {
            content = content.add_debug_attribute("running_variance", &settings.running_variance);
        }
        if settings.activation != Activation::None {
            content = content.add_debug_attribute("activation", &settings.activation);
            content = content.add_debug_attribute("order", &settings.order);
        }
        if settings.layout != Layout::ChannelsFirst {
            content = content.add_debug_attribute("layout", &settings.layout);
        }
        if !self.training.is_enabled() {
            content = content.add("training", &self.training);
        }
        content.optional()
    }
}
