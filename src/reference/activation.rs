//! The activations and their gradients.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::Activation;

/// The cubic's factor in the approximation of GELU with tanh (Hendrycks and Gimpel 2016).
const CUBIC: f64 = 0.044715;
/// √(2/π)
const SQRT_2_OVER_PI: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

/// act(v), the equations at [`Activation`]; NaN where v is NaN.
pub fn activate(activation: Activation, v: f64) -> f64 {
    match activation {
        Activation::None => v,
        // Not f64::max, which drops NaN.
        Activation::Relu if v <= 0.0 => 0.0,
        Activation::Relu => v,
        Activation::LeakyRelu { .. } if v > 0.0 => v,
        Activation::LeakyRelu { negative_slope } => negative_slope * v,
        Activation::Silu => v * sigmoid(v),
        Activation::Gelu => v * normal_distribution(v),
        Activation::GeluTanh => v * sigmoid(2.0 * tanh_argument(v)),
        Activation::Sigmoid => sigmoid(v),
        Activation::Tanh => v.tanh(),
    }
}

/// ∂L/∂v = act′(v)·∂L/∂act(v), `gradient` being the latter. As in PyTorch, relu's is chosen, not
/// multiplied: 0 where v ≤ 0 whatever the gradient, which passes where v is NaN.
///
/// With s the sigmoid function and φ = Φ′ the normal density:
///
/// | activation | act′(v) |
/// |---|---|
/// | silu | s(v)·(1 + v·s(−v)) |
/// | gelu | Φ(v) + v·φ(v) |
/// | gelu_tanh = v·s(2t), t = √(2/π)·(v + 0.044715·v³) | s(2t)·(1 + v·s(−2t)·2·∂t/∂v) |
/// | sigmoid | s(v)·s(−v) |
/// | tanh | 1/cosh²(v) |
pub fn activation_gradient(activation: Activation, v: f64, gradient: f64) -> f64 {
    let derivative = match activation {
        Activation::Relu if v <= 0.0 => return 0.0,
        Activation::None | Activation::Relu => return gradient,
        Activation::LeakyRelu { .. } if v > 0.0 => return gradient,
        Activation::LeakyRelu { negative_slope } => negative_slope,
        Activation::Silu => sigmoid(v) * (1.0 + v * sigmoid(-v)),
        Activation::Gelu => {
            let density = FRAC_1_SQRT_2 * 0.5 * FRAC_2_SQRT_PI * (-0.5 * v * v).exp();
            normal_distribution(v) + v * density
        }
        Activation::GeluTanh => {
            let t = tanh_argument(v);
            let slope = SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * v * v);
            sigmoid(2.0 * t) * (1.0 + v * sigmoid(-2.0 * t) * 2.0 * slope)
        }
        // 1 − s(v) would lose its digits where s is almost 1, and so would 1 − tanh²(v).
        Activation::Sigmoid => sigmoid(v) * sigmoid(-v),
        Activation::Tanh => v.cosh().powi(-2),
    };
    derivative * gradient
}

/// s(v) = 1/(1 + exp(−v)), and 1 − s(v) = s(−v).
fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// Φ(v) = (1 + erf(v/√2))/2 = erfc(−v/√2)/2, the latter with all digits where it is small.
fn normal_distribution(v: f64) -> f64 {
    0.5 * libm::erfc(-v * FRAC_1_SQRT_2)
}

/// t in gelu_tanh(v) = v·(1 + tanh t)/2 = v·s(2t).
fn tanh_argument(v: f64) -> f64 {
    SQRT_2_OVER_PI * (v + CUBIC * v * v * v)
}
