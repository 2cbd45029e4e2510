//! What burn's own layer has no setting for: in our shaders as of burn's operations on another backend.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use burn::tensor::{DType, Device, Tensor, TensorData};
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

/// A residual may have another type than x, which y has.
#[test]
fn residuals_take_the_type_of_x() {
    for device in [device(), Device::flex().autodiff()] {
        let norm = BatchNormConfig::new(6).init(&device);
        let (x, residual) = (some([5, 6, 4], 1, &device), some([5, 6, 4], 2, &device).cast(DType::F16));
        let y = values(norm.forward_residual(x.clone(), residual.clone()));
        let expected = values(norm.forward_residual(x.clone(), residual.clone().cast(DType::F32)));
        assert_eq!(y, expected);
        let half = norm.forward_residual(x.clone().cast(DType::F16), residual.clone().cast(DType::F32));
        assert_eq!(half.dtype(), DType::F16);
        let expected = values(norm.forward_residual(x.cast(DType::F16), residual));
        assert_eq!(values(half), expected);
    }
}

/// More values a channel than llvmpipe's loops have iterations, with a mean far from 0: against sums in f64.
#[test]
fn channels_of_half_a_million_values() {
    const SIDE: usize = 512;
    let device = device();
    let sizes = [2, 1, SIDE, SIDE];
    let norm = BatchNormConfig::new(1).init(&device);
    let (x, dy) = (some(sizes, 1, &device) + 20.0, some(sizes, 2, &device));
    let [host, gradient] = [&x, &dy].map(|tensor| values(tensor.clone()).into_iter().map(f64::from));
    let (host, gradient): (Vec<f64>, Vec<f64>) = (host.collect(), gradient.collect());
    let found = step(&norm, x, None, dy);

    let count = host.len() as f64;
    let mean = host.iter().sum::<f64>() / count;
    let var = host.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let sigma = (var + 1e-5).sqrt();
    let x_hat: Vec<f64> = host.iter().map(|x| (x - mean) / sigma).collect();
    let dbias = gradient.iter().sum::<f64>();
    let dweight = gradient.iter().zip(&x_hat).map(|(dy, x_hat)| dy * x_hat).sum::<f64>();
    let dx = gradient.iter().zip(&x_hat);
    let dx: Vec<f32> =
        dx.map(|(dy, x_hat)| ((dy - dbias / count - x_hat * dweight / count) / sigma) as f32).collect();
    assert_close("y", &found.y, &x_hat.iter().map(|x_hat| *x_hat as f32).collect::<Vec<_>>(), 2e-6);
    assert_close("dx", &found.dx, &dx, 2e-6);
    // Sums of terms that cancel: to rounding of the terms, not of what is left.
    let terms = gradient.iter().zip(&x_hat).map(|(dy, x_hat)| (dy * x_hat).abs()).sum::<f64>();
    let [found_dweight, found_dbias] =
        [found.dweight, found.dbias].map(|vector| f64::from(vector.unwrap()[0]));
    assert!((found_dweight - dweight).abs() < 1e-7 * terms, "dweight: {found_dweight}, expected {dweight}");
    assert!((found_dbias - dbias).abs() < 1e-6 * dbias.abs(), "dbias: {found_dbias}, expected {dbias}");
    let running = |old: f64, new: f64| [(0.9 * old + 0.1 * new) as f32];
    assert_close("running_mean", &found.running_mean.unwrap(), &running(0.0, mean), 1e-6);
    assert_close(
        "running_var",
        &found.running_var.unwrap(),
        &running(1.0, var * count / (count - 1.0)),
        1e-6,
    );
}

/// On a backend that has it.
#[test]
fn float64_is_computed_in_float64() {
    let device = Device::flex();
    let norm = BatchNormConfig::new(1).with_affine(false).with_running_statistics(false).init(&device);
    // The deviations are lost in float32.
    let x = [1e9, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0];
    let x = Tensor::<2>::from_data(TensorData::new(x.to_vec(), [4, 1]), (&device, DType::F64));
    let y = norm.forward(x);
    assert_eq!(y.dtype(), DType::F64);
    let sigma = (1.25f64 + 1e-5).sqrt() as f32;
    assert_close("y", &values(y), &[-1.5 / sigma, -0.5 / sigma, 0.5 / sigma, 1.5 / sigma], 1e-6);
}

#[test]
fn what_is_out_of_range_is_an_error() {
    let device = device();
    for (config, words) in [
        (
            BatchNormConfig::new(3).with_cumulative(true).with_running_statistics(false),
            "cumulative is set without running statistics",
        ),
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
    for device in [common::device(), Device::flex().autodiff()] {
        let norm = BatchNormConfig::new(3).init(&device);
        let error = told(norm.try_forward(common::tensor(&[], [0, 3], &device), None));
        assert!(error.contains("[0, 3") && error.contains("at least 1"), "{error}");
        let mut short = norm.clone();
        short.gamma = Some(burn::module::Param::from_tensor(some([2], 1, &device)));
        let error = told(short.try_forward(some([4, 3], 1, &device), None));
        assert!(error.contains("gamma has shape [2], expected [3]"), "{error}");
        let mut counted = BatchNormConfig::new(3).with_cumulative(true).init(&device);
        counted.batches = Some(burn::module::RunningState::new(some([3], 1, &device)));
        let error = told(counted.try_forward(some([4, 3], 1, &device), None));
        assert!(error.contains("the number of batches has shape [3], expected [1]"), "{error}");
        let mut half = norm.clone();
        half.running_var = None;
        let error = told(half.try_forward(some([4, 3], 1, &device), None));
        assert!(error.contains("without a running variance, expected both"), "{error}");
    }
    let rank_1 = norm.try_forward(some([3], 1, &common::device()), None);
    assert!(rank_1.is_err());
}
