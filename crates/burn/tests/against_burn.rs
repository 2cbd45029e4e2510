//! The same outputs, gradients and running statistics as burn's own layer.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use burn::module::{Module, Param, RunningState};
use burn::nn::BatchNormConfig as Theirs;
use burn::tensor::{Device, Tensor};
use burn_batchnorm::{BatchNormConfig, RunningVariance};
use common::{assert_close, device, some, step, values};

/// Ours beside burn's over two training steps and an inference, with burn's convention.
fn compare<const D: usize>(sizes: [usize; D], device: &Device) {
    let channels = sizes[1];
    let (gamma, beta) = (some([channels], 1, device), some([channels], 2, device));
    let mut ours = BatchNormConfig::new(channels)
        .with_running_variance(RunningVariance::Biased)
        .with_epsilon(1e-3)
        .with_momentum(0.3)
        .init(device);
    ours.gamma = Some(Param::from_tensor(gamma.clone()));
    ours.beta = Some(Param::from_tensor(beta.clone()));
    let mut theirs = Theirs::new(channels).with_epsilon(1e-3).with_momentum(0.3).init(device);
    theirs.gamma = Param::from_tensor(gamma);
    theirs.beta = Param::from_tensor(beta);

    for seed in [3, 4] {
        let (x, dy) = (some(sizes, seed, device), some(sizes, seed + 10, device));
        let actual = step(&ours, x.clone(), None, dy.clone());
        let x = x.require_grad();
        let y = theirs.forward(x.clone());
        let gradients = (y.clone() * dy).sum().backward();
        let of = |parameter: &Param<Tensor<1>>| values(parameter.val().grad(&gradients).unwrap());
        assert_close("y", &actual.y, &values(y), 1e-5);
        assert_close("dx", &actual.dx, &values(x.grad(&gradients).unwrap()), 3e-5);
        assert_close("dweight", &actual.dweight.unwrap(), &of(&theirs.gamma), 1e-4);
        assert_close("dbias", &actual.dbias.unwrap(), &of(&theirs.beta), 1e-4);
        let state = |state: &RunningState<Tensor<1>>| values(state.value_sync());
        assert_close("running_mean", &actual.running_mean.unwrap(), &state(&theirs.running_mean), 1e-5);
        assert_close("running_var", &actual.running_var.unwrap(), &state(&theirs.running_var), 1e-5);
    }
    let (ours, theirs) = (ours.valid(), theirs.valid());
    let x = some(sizes, 5, &device.clone().without_autodiff());
    assert_close("inference", &values(ours.forward(x.clone())), &values(theirs.forward(x)), 1e-5);
}

#[test]
fn of_every_rank() {
    let device = device();
    compare([16, 5], &device);
    compare([4, 3, 17], &device);
    compare([4, 6, 7, 9], &device);
    compare([2, 4, 3, 5, 4], &device);
}

#[test]
fn of_larger_tensors() {
    compare([16, 32, 28, 28], &device());
}

#[test]
fn on_a_backend_that_is_not_wgpu() {
    let device = Device::flex().autodiff();
    assert!(matches!(burn_batchnorm::route(&device), burn_batchnorm::Route::Composed { .. }));
    compare([4, 6, 7, 9], &device);
    compare([16, 5], &device);
}

#[test]
fn under_gradient_checkpointing() {
    compare([4, 6, 7, 9], &device().gradient_checkpointing());
}

#[test]
fn of_views() {
    let device = device();
    let x = some([6, 8, 5, 3], 7, &device);
    let norm = BatchNormConfig::new(3).init(&device);
    let turned = x.clone().swap_dims(1, 3);
    let copied = common::tensor(&values(turned.clone()), turned.dims(), &device);
    assert_eq!(values(norm.forward(turned)), values(norm.forward(copied)));
    // Rows of a larger tensor, at any offset.
    for first in [1, 2, 3] {
        let rows = x.clone().narrow(0, first, 6 - first).swap_dims(1, 3);
        let copied = common::tensor(&values(rows.clone()), rows.dims(), &device);
        assert_eq!(values(norm.forward(rows)), values(norm.forward(copied)), "from {first} on");
    }
    let norm = BatchNormConfig::new(8).init(&device);
    for first in 1..5 {
        let rows = x.clone().narrow(0, first, 6 - first);
        let copied = common::tensor(&values(rows.clone()), rows.dims(), &device);
        assert_eq!(values(norm.forward(rows)), values(norm.forward(copied)), "from {first} on");
    }
}

#[test]
fn a_frozen_layer_keeps_its_statistics_and_passes_gradients_on() {
    let device = device();
    let ours = BatchNormConfig::new(4).init(&device);
    ours.forward(some([8, 4, 3, 3], 1, &device));
    let ours = ours.freeze();
    let before = values(ours.running_mean.as_ref().unwrap().value_sync());
    let x = some([8, 4, 3, 3], 2, &device).require_grad();
    let y = ours.forward(x.clone());
    let gradients = y.sum().backward();
    // γ/σ of the running variance, in each position.
    let sigma: Vec<f32> = values(ours.running_var.as_ref().unwrap().value())
        .into_iter()
        .map(|var| 1.0 / (var + 1e-5).sqrt())
        .collect();
    let expected: Vec<f32> = (0..8 * 4 * 9).map(|i| sigma[i / 9 % 4]).collect();
    assert_close("dx", &values(x.grad(&gradients).unwrap()), &expected, 1e-6);
    assert_eq!(values(ours.running_mean.as_ref().unwrap().value_sync()), before);
}

#[test]
fn it_is_shown_and_counted_as_burns_is() {
    let device = device();
    let ours = BatchNormConfig::new(64).init(&device);
    let theirs = Theirs::new(64).init(&device);
    assert_eq!(ours.num_params(), theirs.num_params());
    assert_eq!(format!("{ours}"), format!("{theirs}"));
    let other = BatchNormConfig::new(64)
        .with_affine(false)
        .with_activation(burn_batchnorm::Activation::Relu)
        .with_cumulative(true)
        .init(&device);
    let shown = format!("{other}");
    for word in ["affine: false", "activation: Relu", "momentum: Cumulative"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
}
