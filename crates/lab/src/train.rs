//! Training, and what is measured of it.

use crate::data::{Batch, Batches, Data};
use crate::experiment::Lab;
use anyhow::{Context as _, ensure};
use burn::module::Module;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor, activation};
use std::fmt;
use wgpu_batchnorm_digits::Digits;
pub(crate) use wgpu_batchnorm_digits::replicas::largest;

/// Mean cross entropy, `[1]`.
pub(crate) fn cross_entropy(logits: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let samples = logits.dims()[0];
    let agreed = activation::log_softmax(logits, 1) * target;
    agreed.sum().mul_scalar(-1.0 / samples as f64)
}

/// Stochastic gradient descent.
pub(crate) struct Descent {
    optimizer: ModuleOptimizer,
    pub(crate) rate: f64,
}

impl Descent {
    /// By the gradient alone.
    pub(crate) fn plain(rate: f64) -> Self {
        Self { optimizer: SgdConfig::new().init(), rate }
    }

    /// With a momentum of 0.9.
    pub(crate) fn with_momentum(rate: f64) -> Self {
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
        Self { optimizer: SgdConfig::new().with_momentum(Some(momentum)).init(), rate }
    }

    /// A step along the gradient of a loss, which is returned, too.
    pub(crate) fn step<M: Module>(&mut self, model: M, loss: &Tensor<1>) -> anyhow::Result<(M, f64)> {
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let model = self.optimizer.step(self.rate, model, gradients);
        Ok((model, scalar(loss.clone())?))
    }
}

/// The value of a tensor that has one.
pub(crate) fn scalar(tensor: Tensor<1>) -> anyhow::Result<f64> {
    let value: f32 = tensor.detach().try_into_scalar().context("a number cannot be read from the device")?;
    Ok(f64::from(value))
}

/// All values of a tensor, in their order.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> anyhow::Result<Vec<f32>> {
    tensor.detach().try_into_vec_as().context("a tensor cannot be read from the device")
}

/// The square root of the sum of all squares.
pub(crate) fn norm<const D: usize>(tensor: Tensor<D>) -> anyhow::Result<f64> {
    Ok(length(&values(tensor)?))
}

/// The same of numbers on the host.
pub(crate) fn length(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

/// The share of samples whose largest logit is their label's. Logits that are no numbers are wrong.
pub(crate) fn accuracy(logits: Tensor<2>, labels: &[u32]) -> anyhow::Result<f64> {
    let [samples, classes] = logits.dims();
    ensure!(samples == labels.len() && samples > 0, "{samples} outputs for {} labels", labels.len());
    let logits = values(logits)?;
    let is_right = |(row, &label): (&[f32], &u32)| {
        row.iter().all(|value| value.is_finite())
            && row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|best| best.0)
                == Some(label as usize)
    };
    let right = logits.chunks_exact(classes).zip(labels).filter(|&pair| is_right(pair)).count();
    Ok(right as f64 / samples as f64)
}

/// How a network is trained.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    /// Samples of a step.
    pub(crate) batch: usize,
    pub(crate) steps: usize,
    /// Of the order of the samples.
    pub(crate) seed: u64,
    pub(crate) rate: f64,
}

/// Trains any network by descent with momentum; `forward` gives its logits. Returns the loss of every step, too.
pub(crate) fn fit<M: Module>(
    lab: &Lab,
    digits: &Digits,
    schedule: Schedule,
    mut model: M,
    forward: impl Fn(&M, &Batch) -> Tensor<2>,
) -> anyhow::Result<(M, Vec<f64>)> {
    let Schedule { batch, steps, seed, rate } = schedule;
    let mut batches = Batches::new(digits, batch, seed, &lab.device);
    let mut descent = Descent::with_momentum(rate);
    let mut losses = Vec::with_capacity(steps);
    for _ in 0..steps {
        let batch = batches.next();
        let loss = cross_entropy(forward(&model, &batch), batch.target);
        let step;
        (model, step) = descent.step(model, &loss)?;
        losses.push(step);
        lab.tick();
    }
    Ok((model, losses))
}

/// The test set where nothing is differentiated, for `model.valid()`.
pub(crate) fn test_set(digits: &Data, device: &Device) -> Batch {
    Batch::of(&digits.test, &device.clone().without_autodiff())
}

/// Mean and ends of a few runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of no run: no numbers.
    pub(crate) fn of(runs: &[f64]) -> Self {
        let mean = runs.iter().sum::<f64>() / runs.len() as f64;
        if !mean.is_finite() {
            return Self { mean, least: mean, most: mean };
        }
        let least = runs.iter().copied().fold(f64::INFINITY, f64::min);
        Self { mean, least, most: runs.iter().copied().fold(f64::NEG_INFINITY, f64::max) }
    }

    /// Of each point of several runs' curves; as long as the shortest.
    pub(crate) fn of_curves(runs: &[Vec<f64>]) -> Vec<Self> {
        let points = runs.iter().map(Vec::len).min().unwrap_or(0);
        let at = |point: usize| -> Vec<f64> { runs.iter().map(|run| run[point]).collect() };
        (0..points).map(|point| Self::of(&at(point))).collect()
    }

    /// "0.93 (0.91–0.95)", each number as `write` writes it.
    pub(crate) fn by(&self, write: impl Fn(f64) -> String) -> String {
        let [mean, least, most] = [self.mean, self.least, self.most].map(write);
        if least == most { mean } else { format!("{mean} ({least}–{most})") }
    }

    /// In percent.
    pub(crate) fn percent(&self) -> String {
        self.by(|share| format!("{:.1}", share * 100.0)) + " %"
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by(short))
    }
}

/// A number with three digits or so.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        _ if !number.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{number:.1e}"),
        size if size < 0.1 => format!("{number:.4}"),
        size if size < 1.0 => format!("{number:.3}"),
        size if size < 10.0 => format!("{number:.2}"),
        size if size < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// Each value as the mean of it and those before it in a window: losses of single batches jump.
pub(crate) fn smoothed(curve: &[f64], window: usize) -> Vec<f64> {
    let mean = |end: usize| {
        let part = &curve[(end + 1).saturating_sub(window.max(1))..=end];
        part.iter().sum::<f64>() / part.len() as f64
    };
    (0..curve.len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_have_their_ends() {
        let spread = Spread::of(&[0.5, 1.0, 0.75]);
        assert_eq!(spread, Spread { mean: 0.75, least: 0.5, most: 1.0 });
        assert_eq!(spread.percent(), "75.0 (50.0–100.0) %");
        assert_eq!(Spread::of(&[2.0]).to_string(), "2.00");
        assert_eq!(Spread::of_curves(&[vec![1.0, 2.0], vec![3.0]]).len(), 1);
    }

    #[test]
    fn what_is_no_number_stays_seen() {
        let spread = Spread::of(&[1.0, f64::NAN, 2.0]);
        assert!(spread.least.is_nan() && spread.most.is_nan());
        assert_eq!(largest([0.5, 2.0, 1.0]), 2.0);
        for values in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
            assert!(largest(values).is_nan());
        }
    }

    #[test]
    fn smoothing_keeps_the_length() {
        assert_eq!(smoothed(&[1.0, 3.0, 5.0], 2), [1.0, 2.0, 4.0]);
    }
}
