//! What the tests share.

#![allow(dead_code, reason = "each test takes a part of it")]

use burn::tensor::{DType, Device, DeviceKind, Distribution, Tensor, TensorData};
use burn_batchnorm::{BatchNorm, Route, init_device, route};
use std::sync::OnceLock;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The default adapter, shared, under autodiff.
pub(crate) fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let device = DEVICE.get_or_init(|| {
        let device = init_device(DeviceKind::DefaultDevice).expect("an adapter");
        assert_eq!(route(&device), Route::Shaders);
        device.autodiff()
    });
    device.clone()
}

/// The values of a tensor.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.cast(DType::F32).into_data().try_to_vec().expect("float32")
}

/// A tensor that holds these values.
pub(crate) fn tensor<const D: usize>(values: &[f32], sizes: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), sizes), device)
}

/// Values with a mean and a scale of their own in each channel, the same on every device.
pub(crate) fn some<const D: usize>(sizes: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let count: usize = sizes.iter().product();
    let value = |i: usize| {
        // A multiplicative hash, so that neighbours have nothing in common.
        let mixed = (i as u32 ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
        let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
        (mixed >> 8) as f32 / 8_388_608.0 - 1.0
    };
    tensor(&(0..count).map(|i| 2.0 * value(i) + 0.5).collect::<Vec<_>>(), sizes, device)
}

/// Random values.
pub(crate) fn normal<const D: usize>(sizes: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(sizes, Distribution::Normal(0.0, 1.0), device)
}

/// Fails unless two tensors are alike up to `tolerance` of the largest value.
#[track_caller]
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f32, |largest, value| largest.max(value.abs()));
    let (worst, i) = actual
        .iter()
        .zip(expected)
        .enumerate()
        .map(|(i, (a, e))| ((a - e).abs(), i))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .expect("some values");
    assert!(
        worst <= tolerance * largest,
        "{what}: {} at {i}, expected {}: off by {worst}, allowed {}",
        actual[i],
        expected[i],
        tolerance * largest
    );
}

/// All that a training step of a layer leaves, by name.
pub(crate) struct Step {
    pub(crate) y: Vec<f32>,
    pub(crate) dx: Vec<f32>,
    pub(crate) dweight: Option<Vec<f32>>,
    pub(crate) dbias: Option<Vec<f32>>,
    pub(crate) dresidual: Option<Vec<f32>>,
    pub(crate) running_mean: Option<Vec<f32>>,
    pub(crate) running_var: Option<Vec<f32>>,
}

/// A step of our layer with the loss ⟨y, dy⟩.
pub(crate) fn step<const D: usize>(
    norm: &BatchNorm,
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    dy: Tensor<D>,
) -> Step {
    let x = x.require_grad();
    let residual = residual.map(Tensor::require_grad);
    let y = norm.try_forward(x.clone(), residual.clone()).expect("a pass");
    let gradients = (y.clone().cast(DType::F32) * dy.cast(DType::F32)).sum().backward();
    let of = |parameter: &burn::module::Param<Tensor<1>>| parameter.val().grad(&gradients).map(values);
    Step {
        y: values(y),
        dx: values(x.grad(&gradients).expect("dx")),
        dweight: norm.gamma.as_ref().and_then(of),
        dbias: norm.beta.as_ref().and_then(of),
        dresidual: residual.and_then(|residual| residual.grad(&gradients)).map(values),
        running_mean: norm.running_mean.as_ref().map(|state| values(state.value_sync())),
        running_var: norm.running_var.as_ref().map(|state| values(state.value_sync())),
    }
}
