//! A small network that replicas train together, each with some of the samples of every batch: over any
//! [`Exchange`], so that ranks of an MPI job and threads of one process train the very same way.
//!
//! The linear layers are plain loops on the host, whose gradients the replicas add up, as any data-parallel program does.

mod net;
mod shuffled;

pub use net::Net;
pub use shuffled::{Digit, Shuffled};

use anyhow::Context as _;
use wgpu_batchnorm::{Context, Exchange};

/// Samples of a step, of all replicas together.
pub const BATCH: usize = 8;

/// The loss of every step.
pub type Curve = Vec<f64>;

/// A training, the same on every replica.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// What to train with.
    pub digits: &'a Shuffled,
    /// Of the first parameters.
    pub seed: u64,
    /// Steps of [`BATCH`] samples.
    pub steps: usize,
}

impl Training<'_> {
    /// Trains as one replica. Its statistics are those of all replicas of one exchange, and its gradients those of all
    /// of another, which also divides each batch among them.
    ///
    /// # Errors
    /// If the batch cannot be divided, the device fails or a replica leaves.
    pub fn run(
        &self,
        context: &Context,
        statistics: &impl Exchange,
        gradients: &impl Exchange,
    ) -> anyhow::Result<Curve> {
        let mut net = Net::new(context, self.seed, statistics, gradients)?;
        let samples = BATCH / gradients.replicas();
        let step = |step| {
            let batch = self.digits.batch(step, BATCH);
            let first = gradients.rank() * samples;
            let own = batch.get(first..first + samples).context("a batch is too short")?;
            net.step(own, BATCH)
        };
        (0..self.steps).map(step).collect()
    }
}

/// The mean loss of the second half of a training.
pub fn late(curve: &[f64]) -> f64 {
    let half = curve.len() / 2;
    curve.iter().skip(half).sum::<f64>() / (curve.len() - half) as f64
}

/// How far two trainings are apart at most; NaN if a loss is.
pub fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    largest(a.iter().zip(b).map(|(a, b)| (a - b).abs()))
}

/// The largest of some values, none of which is below 0; NaN if one of them is, so that no bound holds then.
pub fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    let larger = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) };
    values.into_iter().fold(0.0, larger)
}
