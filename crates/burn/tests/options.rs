//! What burn's own layer has no setting for: in our shaders as of burn's operations on another backend.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use burn::tensor::Device;
use burn_batchnorm::{Activation, BatchNormConfig, Error, Layout, Order, RunningVariance};
use common::{Step, assert_close, device, some, step, values};

/// Two steps and an inference of a layer on a device.
fn steps(config: &BatchNormConfig, residual: bool, device: &Device) -> (Step, Vec<f32>) {
    use burn::module::Module as _;
    let sizes = match config.layout {
        Layout::ChannelsFirst => [5, 6, 4, 7],
        Layout::ChannelsLast => [5, 4, 7, 6],
    };
    let norm = config.init(device);
    let of = |seed| some(sizes, seed, device);
    step(&norm, of(1), residual.then(|| of(2)), of(3));
    let last = step(&norm, of(4), residual.then(|| of(5)), of(6));
    let inner = device.clone().without_autodiff();
    let norm = norm.valid();
    let (x, r) = (some(sizes, 7, &inner), some(sizes, 8, &inner));
    let inferred = if residual { norm.forward_residual(x, r) } else { norm.forward(x) };
    (last, values(inferred))
}

fn compare(config: &BatchNormConfig, residual: bool) {
    let (ours, inferred) = steps(config, residual, &device());
    let (theirs, expected) = steps(config, residual, &Device::flex().autodiff());
    assert_close("y", &ours.y, &theirs.y, 1e-5);
    assert_close("dx", &ours.dx, &theirs.dx, 5e-5);
    assert_close("inference", &inferred, &expected, 1e-5);
    for (what, ours, theirs, tolerance) in [
        ("dweight", ours.dweight, theirs.dweight, 1e-4),
        ("dbias", ours.dbias, theirs.dbias, 1e-4),
        ("dresidual", ours.dresidual, theirs.dresidual, 1e-5),
        ("running_mean", ours.running_mean, theirs.running_mean, 1e-5),
        ("running_var", ours.running_var, theirs.running_var, 1e-5),
    ] {
        assert_eq!(ours.is_some(), theirs.is_some(), "{what}");
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            assert_close(what, &ours, &theirs, tolerance);
        }
    }
}

#[test]
fn state_and_parameters() {
    for config in [
        BatchNormConfig::new(6),
        BatchNormConfig::new(6).with_affine(false),
        BatchNormConfig::new(6).with_cumulative(true),
        BatchNormConfig::new(6).with_cumulative(true).with_running_variance(RunningVariance::Biased),
        BatchNormConfig::new(6).with_running_variance(RunningVariance::Biased),
        BatchNormConfig::new(6).with_running_statistics(false),
        BatchNormConfig::new(6).with_layout(Layout::ChannelsLast),
    ] {
        compare(&config, false);
        compare(&config, true);
    }
}

#[test]
fn activations() {
    for activation in [
        Activation::Relu,
        Activation::LeakyRelu(0.2),
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Sigmoid,
        Activation::Tanh,
    ] {
        for order in [Order::AfterNormalization, Order::BeforeNormalization] {
            let config = BatchNormConfig::new(6).with_activation(activation).with_order(order);
            compare(&config, false);
            compare(&config, true);
        }
    }
}

/// One tensor in several places, and views of one tensor that overlap.
#[test]
fn tensors_may_lie_over_one_another() {
    let run = |device: &Device| {
        let config = BatchNormConfig::new(6).with_activation(Activation::Silu);
        let mut norm = config.init(device);
        let one = some([6], 9, device);
        norm.gamma = Some(burn::module::Param::from_tensor(one.clone()));
        norm.beta = Some(burn::module::Param::from_tensor(one));
        let all = some([9, 6, 4, 8], 1, device).require_grad();
        let (x, residual) = (all.clone().narrow(0, 0, 6), all.clone().narrow(0, 2, 6));
        let y = norm.forward_residual(x.clone(), residual) + norm.forward_residual(x.clone(), x.clone());
        let gradients = (y.clone() * x).sum().backward();
        (values(y), values(all.grad(&gradients).unwrap()))
    };
    let ((y, gradient), (expected, expected_gradient)) = (run(&device()), run(&Device::flex().autodiff()));
    assert_close("y", &y, &expected, 1e-5);
    assert_close("the gradient", &gradient, &expected_gradient, 5e-5);
}

#[test]
fn what_is_out_of_range_is_an_error() {
    let device = device();
    for (config, words) in [
        (BatchNormConfig::new(0), "0 channels"),
        (BatchNormConfig::new(3).with_epsilon(0.0), "eps is 0"),
        (BatchNormConfig::new(3).with_momentum(1.5), "momentum is 1.5"),
        (BatchNormConfig::new(3).with_activation(Activation::LeakyRelu(f64::NAN)), "negative_slope is NaN"),
    ] {
        let error = config.try_init(&device).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let norm = BatchNormConfig::new(3).init(&device);
    let told = |result: Result<_, Error>| result.map(values::<2>).expect_err("wrong shapes").to_string();
    let error = told(norm.try_forward(some([4, 5], 1, &device), None));
    assert!(error.contains("[4, 5]") && error.contains("[N, 3, …]"), "{error}");
    let error = told(norm.try_forward(some([4, 3], 1, &device), Some(some([1, 3], 1, &device))));
    assert!(error.contains("the residual has shape [1, 3]"), "{error}");
    for device in [device, Device::flex().autodiff()] {
        let norm = BatchNormConfig::new(3).init(&device);
        let error = told(norm.try_forward(some([1, 3], 1, &device), None));
        assert!(error.contains("1 value per channel"), "{error}");
    }
    let rank_1 = norm.try_forward(some([3], 1, &common::device()), None);
    assert!(rank_1.is_err());
}
