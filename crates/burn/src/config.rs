//! The settings of a layer.

use crate::Error;
use crate::device;
use crate::module::{BatchNorm, Settings};
use burn::config::Config;
use burn::module::{Param, RunningState};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
use wgpu_batchnorm::Options;

/// Where the channels are.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[N, C, …]`, burn's.
    ChannelsFirst,
    /// `[N, …, C]`.
    ChannelsLast,
}

/// Which variance of the batch enters the running one.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum RunningVariance {
    /// Σ(x − mean)² / (m − 1), as in PyTorch.
    Unbiased,
    /// Σ(x − mean)² / m, as in `burn::nn::BatchNorm`: to go on with what was trained with it.
    Biased,
}

/// A function of single elements, fused into both passes.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum Activation {
    /// None.
    None,
    /// max(0, v).
    Relu,
    /// v where it is positive, and this times v elsewhere.
    LeakyRelu(f64),
    /// v·sigmoid(v).
    Silu,
    /// v·Φ(v), by the error function.
    Gelu,
    /// GELU's approximation by tanh.
    GeluTanh,
    /// 1 / (1 + exp(−v)).
    Sigmoid,
    /// tanh(v).
    Tanh,
}

impl From<Activation> for wgpu_batchnorm::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::None => Self::None,
            Activation::Relu => Self::Relu,
            Activation::LeakyRelu(negative_slope) => Self::LeakyRelu { negative_slope },
            Activation::Silu => Self::Silu,
            Activation::Gelu => Self::Gelu,
            Activation::GeluTanh => Self::GeluTanh,
            Activation::Sigmoid => Self::Sigmoid,
            Activation::Tanh => Self::Tanh,
        }
    }
}

/// Where the activation is.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Order {
    /// activation(γ·x̂ + β + residual).
    AfterNormalization,
    /// The statistics and x̂ are those of activation(x).
    BeforeNormalization,
}

/// The settings of a [`BatchNorm`]: those of `burn::nn::BatchNormConfig` by the same names, and more.
///
/// ```no_run
/// use burn::tensor::Device;
/// use burn_batchnorm::{Activation, BatchNormConfig, Layout};
///
/// let device = Device::default().autodiff();
/// let norm = BatchNormConfig::new(64)
///     .with_momentum(0.05)
///     .with_activation(Activation::Relu)
///     .with_layout(Layout::ChannelsLast)
///     .init(&device);
/// ```
#[derive(Config, Debug)]
pub struct BatchNormConfig {
    /// C, the number of channels. At least 1.
    pub num_features: usize,
    /// ε, a finite and positive value. Default: 1e-5
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// The weight of the new batch in the running statistics, in `[0, 1]`. Default: 0.1
    #[config(default = 0.1)]
    pub momentum: f64,
    /// The running statistics are the mean over all batches instead (PyTorch's `momentum=None`); see
    /// [`BatchNorm::batches`] before loading some. Default: false
    #[config(default = false)]
    pub cumulative: bool,
    /// Whether there are γ and β. Default: true
    #[config(default = true)]
    pub affine: bool,
    /// Whether running statistics are kept. Without them inference normalizes with the batch's too. Default: true
    #[config(default = true)]
    pub running_statistics: bool,
    /// Which variance enters the running one. Default: unbiased, as in PyTorch
    #[config(default = "RunningVariance::Unbiased")]
    pub running_variance: RunningVariance,
    /// Default: none
    #[config(default = "Activation::None")]
    pub activation: Activation,
    /// Default: after the normalization
    #[config(default = "Order::AfterNormalization")]
    pub order: Order,
    /// Default: channels first
    #[config(default = "Layout::ChannelsFirst")]
    pub layout: Layout,
}

impl BatchNormConfig {
    /// A layer with γ = 1, β = 0, running mean 0 and running variance 1.
    ///
    /// # Panics
    /// With the message of [`BatchNormConfig::try_init`]'s error, if a setting is out of its range.
    pub fn init(&self, device: &Device) -> BatchNorm {
        self.try_init(device).unwrap_or_else(crate::module::fail)
    }

    /// The same, with errors as values.
    ///
    /// # Errors
    /// [`Error::Options`] if a setting is out of its range, [`Error::Settings`] if two exclude each other.
    pub fn try_init(&self, device: &Device) -> Result<BatchNorm, Error> {
        let Self { num_features: channels, epsilon, momentum, cumulative, affine, .. } = *self;
        let settings = Settings {
            cumulative,
            running_variance: self.running_variance,
            activation: self.activation,
            order: self.order,
            layout: self.layout,
        };
        let options = settings.options(channels, epsilon, momentum);
        Options { weight: affine, bias: affine, ..options }.validate()?;
        if cumulative && !self.running_statistics {
            return Err(Error::Settings {
                actual: "cumulative is set without running statistics",
                expected: "running statistics that are the mean over all batches, or cumulative = false",
            });
        }
        // Before the first tensor: whoever opens a device first decides whether it is shared. The log has why if not.
        drop(device::engine(device));
        let parameter = |initializer: Initializer| affine.then(|| initializer.init([channels], device));
        let state = |value: f32| {
            let start = || RunningState::new(Tensor::full([channels], value, device));
            self.running_statistics.then(start)
        };
        Ok(BatchNorm {
            gamma: parameter(Initializer::Ones),
            beta: parameter(Initializer::Zeros),
            training: Param::from_bool(true),
            running_mean: state(0.0),
            running_var: state(1.0),
            batches: (cumulative && self.running_statistics)
                .then(|| RunningState::new(Tensor::zeros([1], device))),
            num_features: channels,
            momentum,
            epsilon,
            settings,
        })
    }
}
