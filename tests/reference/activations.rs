//! The activations where differences do not reach: at 0, far out, and at what is no number.

use super::ACTIVATIONS;
use approx::assert_relative_eq;
use wgpu_batchnorm::Activation;
use wgpu_batchnorm::reference::{activate, activation_gradient};

#[test]
fn values_are_those_of_the_equations() {
    let at = |activation, v| activate(activation, v);
    assert_eq!([-3.0, 0.0, 2.0].map(|v| at(Activation::Relu, v)), [0.0, 0.0, 2.0]);
    let leaky = Activation::LeakyRelu { negative_slope: 0.25 };
    assert_eq!([-3.0, 0.0, 2.0].map(|v| at(leaky, v)), [-0.75, 0.0, 2.0]);
    for v in [-3.5_f64, -0.25, 0.0, 1.0, 6.0] {
        let sigmoid = 1.0 / (1.0 + (-v).exp());
        assert_relative_eq!(at(Activation::Sigmoid, v), sigmoid, max_relative = 1e-15);
        assert_relative_eq!(at(Activation::Silu, v), v * sigmoid, max_relative = 1e-15);
        let tanh = ((2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v.powi(3))).tanh();
        assert_relative_eq!(at(Activation::GeluTanh, v), v / 2.0 * (1.0 + tanh), epsilon = 1e-15);
        assert_eq!((at(Activation::Tanh, v), at(Activation::None, v)), (v.tanh(), v));
    }
    // Φ(1) and Φ(−10), from tables.
    assert_relative_eq!(at(Activation::Gelu, 1.0), 0.841_344_746_068_542_9, max_relative = 1e-15);
    assert_relative_eq!(at(Activation::Gelu, -10.0), -7.619_853_024_160_527e-23, max_relative = 1e-13);
}

#[test]
fn derivatives_at_zero_are_those_of_pytorch() {
    let expected = [1.0, 0.0, 0.2, 0.5, 0.5, 0.5, 0.25, 1.0];
    for (activation, expected) in ACTIVATIONS.into_iter().zip(expected) {
        for zero in [0.0, -0.0] {
            assert_eq!(activation_gradient(activation, zero, 1.0), expected, "{activation:?}");
        }
    }
}

#[test]
fn nan_goes_through() {
    for activation in ACTIVATIONS {
        assert!(activate(activation, f64::NAN).is_nan(), "{activation:?}");
        let gradient = activation_gradient(activation, f64::NAN, 3.0);
        match activation {
            Activation::None | Activation::Relu => assert_eq!(gradient, 3.0),
            // Not greater than 0.
            Activation::LeakyRelu { negative_slope } => assert_eq!(gradient, 3.0 * negative_slope),
            _ => assert!(gradient.is_nan(), "{activation:?}"),
        }
    }
    // Chosen, not multiplied.
    assert_eq!(activation_gradient(Activation::Relu, -1.0, f64::NAN), 0.0);
    assert_eq!(activation_gradient(Activation::Relu, 0.0, f64::INFINITY), 0.0);
}

#[test]
fn far_out_nothing_overflows() {
    for activation in ACTIVATIONS {
        for v in [-1e30, -1e4, -40.0, 40.0, 1e4, 1e30] {
            let (value, slope) = (activate(activation, v), activation_gradient(activation, v, 1.0));
            assert!(value.is_finite() && value.abs() <= f64::abs(v), "{activation:?} at {v}: {value}");
            assert!((-1e-14..=1.0 + 1e-14).contains(&slope), "{activation:?} at {v}: {slope}");
        }
    }
}
