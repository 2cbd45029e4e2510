//! Networks that train: as with burn's own layer, for long, and in several threads.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use burn::module::{Module, Param};
use burn::nn::loss::{MseLoss, Reduction};
use burn::nn::{BatchNorm as TheirNorm, BatchNormConfig as Theirs, Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};
use burn_batchnorm::{BatchNorm as OurNorm, BatchNormConfig as Ours, RunningVariance};
use common::{device, some, values};

#[derive(Module, Debug)]
struct Net<N: Module> {
    first: Linear,
    norm: N,
    second: Linear,
}

trait Norm: Module + burn::module::ModuleDisplay {
    fn of(channels: usize, device: &Device) -> Self;
    fn run(&self, x: Tensor<2>) -> Tensor<2>;
}

impl Norm for OurNorm {
    fn of(channels: usize, device: &Device) -> Self {
        Ours::new(channels).with_running_variance(RunningVariance::Biased).init(device)
    }

    fn run(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(x)
    }
}

impl Norm for TheirNorm {
    fn of(channels: usize, device: &Device) -> Self {
        Theirs::new(channels).init(device)
    }

    fn run(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(x)
    }
}

impl<N: Norm> Net<N> {
    fn new(device: &Device) -> Self {
        let linear = |inputs: usize, outputs: usize, seed| {
            let mut linear = LinearConfig::new(inputs, outputs).init(device);
            let scale = 1.0 / (inputs as f64).sqrt();
            linear.weight = Param::from_tensor(some([inputs, outputs], seed, device).mul_scalar(scale));
            linear.bias = Some(Param::from_tensor(Tensor::zeros([outputs], device)));
            linear
        };
        Self { first: linear(8, 16, 1), norm: N::of(16, device), second: linear(16, 4, 2) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.norm.run(self.first.forward(x));
        self.second.forward(burn::tensor::activation::relu(x))
    }
}

/// The losses of so many steps.
fn train<N: Norm>(steps: usize, device: &Device) -> Vec<f32> {
    let mut net = Net::<N>::new(device);
    let mut optimizer = SgdConfig::new().init();
    let mut losses = Vec::new();
    for step in 0..steps as u32 {
        let x = some([24, 8], 100 + step % 5, device);
        let target = some([24, 4], 200 + step % 5, device);
        let loss = MseLoss::new().forward(net.forward(x), target, Reduction::Mean);
        losses.push(loss.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(0.05, net, gradients);
    }
    losses.into_iter().map(|loss| values(loss)[0]).collect()
}

#[test]
fn a_network_ends_at_the_same_loss_with_either_layer() {
    let device = device();
    let (ours, theirs) = (train::<OurNorm>(50, &device), train::<TheirNorm>(50, &device));
    let (first, last) = (ours[0], ours[49]);
    assert!(last < 0.8 * first, "the loss goes from {first} to {last}");
    common::assert_close("the losses", &ours, &theirs, 1e-3);
}

#[test]
fn two_threads_train_at_once() {
    let device = device();
    let alone = train::<OurNorm>(20, &device);
    let together = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| train::<OurNorm>(20, &device))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for losses in together {
        common::assert_close("the losses", &losses, &alone, 1e-5);
    }
}

/// The resident memory of this process in MiB, which has the adapter's memory in it where that is software.
fn resident_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

#[test]
fn memory_does_not_grow_over_a_thousand_steps() {
    let device = device();
    let norm = Ours::new(32).init(&device);
    let dims = [16, 32, 16, 16];
    let (x, dy) = (some(dims, 1, &device), some(dims, 2, &device));
    let step = || {
        let x = x.clone().require_grad();
        let gradients = (norm.forward(x.clone()) * dy.clone()).sum().backward();
        x.grad(&gradients).unwrap()
    };
    // Other tests run beside, so that only much is a leak: each step has 2.5 MiB of new tensors.
    let warm_up = values((0..99).fold(step(), |_, _| step()));
    let before = resident_mib();
    let mut last = None;
    for i in 0..1000 {
        last = Some(step());
        if i % 100 == 0 {
            device.sync().unwrap();
        }
    }
    assert_eq!(last.map(values), Some(warm_up), "the same bits in every step");
    if let (Some(before), Some(after)) = (before, resident_mib()) {
        assert!(after - before < 200.0, "{before:.0} MiB before, {after:.0} MiB after 1,000 steps");
    }
}
