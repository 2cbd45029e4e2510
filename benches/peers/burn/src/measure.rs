//! The passes of one layer: seconds of many steps in a row, on the host's clock between two
//! synchronizations, over the number of steps.

use std::error::Error;
use std::time::Instant;

use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Distribution, Tensor};

/// Measurements that are made before anything is kept: they compile, tune and allocate.
const WARM_UP: u32 = 3;
/// Steps in a row, at least: what a synchronization costs is shared by all of them.
const LEAST_STEPS: usize = 4;
/// Graphs that are kept at once, of all the steps of a backward measurement.
const MOST_STEPS: usize = 64;
/// Bytes that those graphs may take together, at about this many tensors each.
const MOST_BYTES: u64 = 4 << 30;
const TENSORS_OF_A_GRAPH: u64 = 6;

/// What all shapes are measured with.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) repetitions: u32,
    /// Bytes between two uses of a tensor, at least; 0 for one tensor in all steps.
    pub(crate) cache_bytes: u64,
}

/// What is timed of a step. There are two backward passes, since what gives burn the gradient of y is in the time: from
/// `(y·dy).sum()`, whose derivative is a multiplication by dy, and from `y.sum()`, whose derivative is ones, which fused kernels need
/// not read.
pub(crate) const PASSES: [&str; 3] = ["forward", "backward", "backward_of_ones"];

/// Milliseconds of a step, one a repetition, of each of the [`PASSES`].
pub(crate) struct Timing {
    pub(crate) ms: [Vec<f64>; PASSES.len()],
    /// Tensors that took turns.
    pub(crate) sets: usize,
}

/// Times all passes over a tensor of `sizes`, which has rank 2 to 5.
pub(crate) fn batch_norm(
    sizes: &[usize],
    settings: Settings,
    device: &Device,
) -> Result<Timing, Box<dyn Error>> {
    match *sizes {
        [n, c] => time([n, c], settings, device),
        [n, c, l] => time([n, c, l], settings, device),
        [n, c, h, w] => time([n, c, h, w], settings, device),
        [n, c, d, h, w] => time([n, c, d, h, w], settings, device),
        _ => Err(format!("{sizes:?} has rank {}, expected 2 to 5", sizes.len()).into()),
    }
}

/// Tensors that take turns, and steps in a row: a pass reads one tensor and writes one.
fn sets_and_steps(tensor_bytes: u64, cache_bytes: u64) -> (usize, usize) {
    let affordable = (MOST_BYTES / (TENSORS_OF_A_GRAPH * tensor_bytes)).clamp(1, MOST_STEPS as u64) as usize;
    let sets = cache_bytes.div_ceil(2 * tensor_bytes).clamp(1, affordable as u64) as usize;
    (sets, sets.max(LEAST_STEPS).min(affordable))
}

fn time<const D: usize>(
    sizes: [usize; D],
    settings: Settings,
    device: &Device,
) -> Result<Timing, Box<dyn Error>> {
    let channels = sizes.get(1).copied().unwrap_or(1);
    let bytes = sizes.iter().product::<usize>() as u64 * size_of::<f32>() as u64;
    let (sets, steps) = sets_and_steps(bytes, settings.cache_bytes);
    let layer = BatchNormConfig::new(channels).init(device);
    let random = |mean, deviation| -> Vec<Tensor<D>> {
        (0..sets).map(|_| Tensor::random(sizes, Distribution::Normal(mean, deviation), device)).collect()
    };
    let inputs: Vec<_> = random(0.5, 2.0).into_iter().map(Tensor::require_grad).collect();
    let gradients = random(0.0, 1.0);

    let mut timing = Timing { ms: Default::default(), sets };
    for repetition in 0..WARM_UP + settings.repetitions {
        let measured = measure(&layer, &inputs, &gradients, steps, device)?;
        if repetition >= WARM_UP {
            for (all, one) in timing.ms.iter_mut().zip(measured) {
                all.push(one);
            }
        }
    }
    Ok(timing)
}

/// Milliseconds of a step, of `steps` in a row, for each of the [`PASSES`].
fn measure<const D: usize>(
    layer: &BatchNorm,
    inputs: &[Tensor<D>],
    gradients: &[Tensor<D>],
    steps: usize,
    device: &Device,
) -> Result<[f64; PASSES.len()], Box<dyn Error>> {
    let per_step = |start: Instant| start.elapsed().as_secs_f64() * 1e3 / steps as f64;
    // With the update of the running statistics, as in every training step.
    let forward = || -> Result<(Vec<Tensor<D>>, f64), Box<dyn Error>> {
        device.sync()?;
        let start = Instant::now();
        let outputs = inputs.iter().cycle().take(steps).map(|x| layer.forward(x.clone())).collect();
        device.sync()?;
        Ok((outputs, per_step(start)))
    };
    // Of a loss only the derivative is timed: its value is there before.
    let backward = |losses: Vec<Tensor<1>>| -> Result<f64, Box<dyn Error>> {
        device.sync()?;
        let start = Instant::now();
        let mut results = Vec::with_capacity(steps);
        for (loss, x) in losses.into_iter().zip(inputs.iter().cycle()) {
            let mut found = loss.backward();
            results.push(x.grad_remove(&mut found).ok_or("burn gave no gradient of x")?);
        }
        device.sync()?;
        Ok(per_step(start))
    };

    let (outputs, forward_ms) = forward()?;
    let products = outputs.into_iter().zip(gradients.iter().cycle()).map(|(y, dy)| (y * dy.clone()).sum());
    let backward_ms = backward(products.collect())?;
    let (outputs, _) = forward()?;
    let of_ones_ms = backward(outputs.into_iter().map(Tensor::sum).collect())?;
    Ok([forward_ms, backward_ms, of_ones_ms])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_take_turns_beyond_the_cache_and_within_memory() {
        let mib = 1 << 20;
        // 256 MiB are four turns of a read and a write of 32 MiB.
        assert_eq!(sets_and_steps(32 * mib, 256 * mib), (4, 4));
        assert_eq!(sets_and_steps(32 * mib, 0), (1, 4));
        assert_eq!(sets_and_steps(1 << 10, 256 * mib), (MOST_STEPS, MOST_STEPS));
        assert_eq!(sets_and_steps(4 << 30, 256 * mib), (1, 1));
    }
}
