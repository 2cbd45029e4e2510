//! The two passes of one layer, timed on the host's clock between two synchronizations.

use std::error::Error;
use std::time::{Duration, Instant};

use burn::nn::BatchNormConfig;
use burn::tensor::{Device, Distribution, Tensor};

/// Passes that are run before anything is timed: they compile, tune and allocate.
const WARM_UP: u32 = 3;

/// One duration a repetition.
pub(crate) struct Timing {
    pub(crate) forward: Vec<Duration>,
    pub(crate) backward: Vec<Duration>,
}

/// Times both passes over a tensor of `sizes`, which has rank 2 to 5.
pub(crate) fn batch_norm(
    sizes: &[usize],
    repetitions: u32,
    device: &Device,
) -> Result<Timing, Box<dyn Error>> {
    match *sizes {
        [n, c] => time([n, c], repetitions, device),
        [n, c, l] => time([n, c, l], repetitions, device),
        [n, c, h, w] => time([n, c, h, w], repetitions, device),
        [n, c, d, h, w] => time([n, c, d, h, w], repetitions, device),
        _ => Err(format!("{sizes:?} has rank {}, expected 2 to 5", sizes.len()).into()),
    }
}

fn time<const D: usize>(
    sizes: [usize; D],
    repetitions: u32,
    device: &Device,
) -> Result<Timing, Box<dyn Error>> {
    let channels = sizes.get(1).copied().unwrap_or(1);
    let layer = BatchNormConfig::new(channels).init(device);
    let x = Tensor::<D>::random(sizes, Distribution::Normal(0.5, 2.0), device).require_grad();
    let dy = Tensor::<D>::random(sizes, Distribution::Normal(0.0, 1.0), device);

    let mut timing = Timing { forward: Vec::new(), backward: Vec::new() };
    for repetition in 0..WARM_UP + repetitions {
        device.sync()?;
        let start = Instant::now();
        // With the update of the running statistics, as in every training step.
        let y = layer.forward(x.clone());
        device.sync()?;
        let forward = start.elapsed();

        // Of the loss only the derivative is timed: 1 broadcast to the shape of y, times dy. That is
        // one elementwise multiplication beside batch normalization's own backward pass, which
        // fusion may merge with it; the sum and its multiplication forward are finished before.
        let loss = (y * dy.clone()).sum();
        device.sync()?;
        let start = Instant::now();
        let mut gradients = loss.backward();
        let dx = x.grad_remove(&mut gradients);
        device.sync()?;
        let backward = start.elapsed();

        if dx.is_none() {
            return Err("burn gave no gradient of x".into());
        }
        if repetition >= WARM_UP {
            timing.forward.push(forward);
            timing.backward.push(backward);
        }
    }
    Ok(timing)
}
