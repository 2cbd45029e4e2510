//! The same passes of burn's own operations, for the devices where our shaders do not run.

use crate::config::{Activation, Order};
use crate::module::Settings;
use burn::tensor::activation::{gelu, gelu_approximate, leaky_relu, relu, sigmoid, silu, tanh};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{DType, Tensor};

/// What normalizes: the batch, or these.
pub(crate) type Statistics = Option<(Tensor<1>, Tensor<1>)>;

/// y of `[N, C, S]`, and mean and biased variance of the batch if they normalize. It computes in the type that stands beside
/// x, which γ, β and the statistics have; y has x's.
pub(crate) fn forward(
    (x, computed): (Tensor<3>, DType),
    affine: (Tensor<1>, Tensor<1>),
    residual: Option<Tensor<3>>,
    given: Statistics,
    epsilon: f64,
    settings: &Settings,
) -> (Tensor<3>, Statistics) {
    let dtype = x.dtype();
    let x = x.cast(computed);
    let x = if settings.order == Order::BeforeNormalization { activate(x, settings.activation) } else { x };
    let (weight, bias) = affine;
    let (y, statistics) = match given {
        Some((mean, var)) => (batch_norm(x, weight, bias, mean, var, epsilon), None),
        None => {
            let result = batch_norm_train(x, weight, bias, epsilon);
            (result.output, Some((result.mean.detach(), result.variance.detach())))
        }
    };
    let y = match residual {
        Some(residual) => y + residual.cast(computed),
        None => y,
    };
    let y = if settings.order == Order::AfterNormalization { activate(y, settings.activation) } else { y };
    (y.cast(dtype), statistics)
}

fn activate(v: Tensor<3>, activation: Activation) -> Tensor<3> {
    match activation {
        Activation::None => v,
        Activation::Relu => relu(v),
        Activation::LeakyRelu(negative_slope) => leaky_relu(v, negative_slope),
        Activation::Silu => silu(v),
        Activation::Gelu => gelu(v),
        Activation::GeluTanh => gelu_approximate(v),
        Activation::Sigmoid => sigmoid(v),
        Activation::Tanh => tanh(v),
    }
}
