//! `burn::nn::BatchNorm` and ours inside burn: the same adapter, process and tensors, in turns.
//!
//! Seconds of many steps in a row on the host's clock, between two synchronizations, over the number of steps. The update of the
//! running statistics is in the forward step; the gradient that a backward step begins with lies in memory.

#![allow(missing_docs)]

mod given_gradient;

use burn::nn::BatchNormConfig as Theirs;
use burn::tensor::{Device, DeviceKind, Distribution, Tensor};
use burn_batchnorm::{BatchNormConfig as Ours, init_device};
use clap::Parser;
use given_gradient::loss_with_gradient;
use std::error::Error;
use std::time::Instant;

/// Times burn's layer and ours, forward and backward in training.
#[derive(Parser)]
struct Arguments {
    /// Rounds, in which each layer has one turn.
    #[arg(long, default_value_t = 7, value_parser = at_least_one)]
    rounds: usize,
    /// Steps in a row.
    #[arg(long, default_value_t = 4, value_parser = at_least_one)]
    steps: usize,
    /// A shape instead of those of `quick`; may be repeated.
    #[arg(long, value_name = "N,C,H,W", value_parser = sizes)]
    shape: Vec<[usize; 4]>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

const QUICK: [[usize; 4]; 3] = [[64, 64, 56, 56], [32, 256, 14, 14], [64, 512, 7, 7]];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let device = init_device(DeviceKind::DefaultDevice)?.autodiff();
    println!("{:>16}  {:>8}  {:>9}  {:>9}  {:>6}", "shape", "pass", "burn, ms", "ours, ms", "ratio");
    let mut logarithms = [0.0; 2];
    let shapes = if arguments.shape.is_empty() { QUICK.to_vec() } else { arguments.shape.clone() };
    for shape in &shapes {
        let times = measure(*shape, &arguments, &device)?;
        for (pass, (name, logarithm)) in ["forward", "backward"].iter().zip(&mut logarithms).enumerate() {
            let of = |layer: usize| median(times.iter().map(|round| round[layer][pass]).collect());
            let ratio = median(times.iter().map(|round| round[0][pass] / round[1][pass]).collect());
            let [burns, ours] = [0, 1].map(|layer| 1e3 * of(layer));
            *logarithm += ratio.ln() / shapes.len() as f64;
            let shape = shape.map(|size| size.to_string()).join("×");
            println!("{shape:>16}  {name:>8}  {burns:>9.2}  {ours:>9.2}  {ratio:>6.1}");
        }
    }
    let [forward, backward] = logarithms.map(f64::exp);
    println!("geometric means of the ratios: forward {forward:.1}, backward {backward:.1}");
    Ok(())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it is 0, expected at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}, expected a whole number")),
    }
}

fn sizes(text: &str) -> Result<[usize; 4], String> {
    let sizes = text.split(',').map(at_least_one).collect::<Result<Vec<_>, _>>()?;
    let count = sizes.len();
    sizes.try_into().map_err(|_| format!("it has {count} sizes, expected 4: N,C,H,W"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Of each round, burn's times and ours, forward and backward.
fn measure(
    shape: [usize; 4],
    arguments: &Arguments,
    device: &Device,
) -> Result<Vec<[[f64; 2]; 2]>, Box<dyn Error>> {
    let random = |_| Tensor::<4>::random(shape, Distribution::Normal(0.5, 2.0), device);
    let inputs: Vec<_> = (0..arguments.steps).map(random).map(Tensor::require_grad).collect();
    let gradients: Vec<_> = (0..arguments.steps).map(random).collect();
    let (theirs, ours) = (Theirs::new(shape[1]).init(device), Ours::new(shape[1]).init(device));
    // Fast and wrong counts for nothing. On llvmpipe burn's own are wrong from 262,144 values a channel on.
    let apart = apart(
        gradient(|x| theirs.forward(x), &inputs[0], &gradients[0])?,
        gradient(|x| ours.forward(x), &inputs[0], &gradients[0])?,
    )?;
    if apart.is_nan() || apart >= 1e-4 {
        return Err(
            format!("gradients of x differ by {apart:.1e} of the largest, expected less than 1e-4").into()
        );
    }
    let mut rounds = Vec::new();
    for round in 0..arguments.rounds + 2 {
        let theirs = time(|x| theirs.forward(x), &inputs, &gradients, device)?;
        let ours = time(|x| ours.forward(x), &inputs, &gradients, device)?;
        // The first ones compile and allocate.
        if round >= 2 {
            rounds.push([theirs, ours]);
        }
    }
    Ok(rounds)
}

/// Of a step, with respect to x.
fn gradient(
    forward: impl Fn(Tensor<4>) -> Tensor<4>,
    x: &Tensor<4>,
    dy: &Tensor<4>,
) -> Result<Tensor<4>, Box<dyn Error>> {
    let loss = loss_with_gradient(forward(x.clone()), dy.clone());
    Ok(x.grad_remove(&mut loss.backward()).ok_or("there is no gradient of x")?)
}

/// The largest difference of two tensors, over the largest value of the first.
fn apart(expected: Tensor<4>, actual: Tensor<4>) -> Result<f32, Box<dyn Error>> {
    let [expected, actual] = [expected, actual].map(|tensor| tensor.into_data().try_to_vec::<f32>());
    let (expected, actual) = (expected?, actual?);
    let worst = |values: &mut dyn Iterator<Item = f32>| values.max_by(f32::total_cmp).unwrap_or(f32::NAN);
    let difference = worst(&mut expected.iter().zip(&actual).map(|(a, b)| (a - b).abs()));
    Ok(difference / worst(&mut expected.iter().map(|value| value.abs())))
}

/// Seconds of a forward and of a backward step.
fn time(
    forward: impl Fn(Tensor<4>) -> Tensor<4>,
    inputs: &[Tensor<4>],
    gradients: &[Tensor<4>],
    device: &Device,
) -> Result<[f64; 2], Box<dyn Error>> {
    let per_step = |start: Instant| start.elapsed().as_secs_f64() / inputs.len() as f64;
    device.sync()?;
    let start = Instant::now();
    let outputs: Vec<_> = inputs.iter().map(|x| forward(x.clone())).collect();
    device.sync()?;
    let forward = per_step(start);
    let losses: Vec<_> =
        outputs.into_iter().zip(gradients).map(|(y, dy)| loss_with_gradient(y, dy.clone())).collect();
    device.sync()?;
    let start = Instant::now();
    let mut found = Vec::new();
    for (loss, x) in losses.into_iter().zip(inputs) {
        found.push(x.grad_remove(&mut loss.backward()).ok_or("there is no gradient of x")?);
    }
    device.sync()?;
    Ok([forward, per_step(start)])
}
