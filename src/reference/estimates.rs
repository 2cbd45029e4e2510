//! What is computed from moments alone, and their own gradient.

use super::{Element, Moments, ReferenceError, Running, Segment};

/// The factor with which running statistics are the mean over all batches so far: 1/(tracked + 1),
/// `num_batches_tracked` counted before this batch.
pub fn cumulative_factor(num_batches_tracked: u64) -> f64 {
    1.0 / (num_batches_tracked as f64 + 1.0)
}

/// The population's mean and variance from a sequence of batches (Ioffe and Szegedy 2015, Algorithm 2):
/// mean = ⟨μ⟩ and variance = ⟨M2/(m − 1)⟩, ⟨·⟩ the mean over the batches. Where all have m values, the latter
/// is the article's m/(m − 1)·⟨v⟩. Batches without any value do not count.
///
/// # Errors
/// [`ReferenceError`] if the batches differ in channels, one has one value per channel, or none has any.
pub fn population(batches: &[Moments]) -> Result<Running, ReferenceError> {
    let batches = || batches.iter().filter(|batch| batch.count > 0);
    let channels = batches().next().ok_or(ReferenceError::NoBatches)?.mean.len();
    let mut population = Running { mean: vec![0.0; channels], variance: vec![0.0; channels] };
    let share = 1.0 / batches().count() as f64;
    for batch in batches() {
        super::error::check_channels("mean", batch.mean.len(), channels)?;
        super::error::check_channels("M2", batch.m2.len(), channels)?;
        let add = |total: &mut [f64], batch: &[f64]| {
            total.iter_mut().zip(batch).for_each(|(total, batch)| *total += share * batch);
        };
        add(&mut population.mean, &batch.mean);
        add(&mut population.variance, &batch.unbiased_variance()?);
    }
    Ok(population)
}

/// The gradient of `x` where μ and v = M2/m are the outputs, with the gradients `dmean` and `dvariance`,
/// `[C]` both: dx = dmean/m + dvariance·2(x − μ)/m, in the layout of `x`.
///
/// # Errors
/// [`ReferenceError`] if a slice does not have the length the shape says.
pub fn moments_backward(
    x: &[impl Element],
    segment: &Segment<'_>,
    moments: &Moments,
    dmean: &[f32],
    dvariance: &[f32],
) -> Result<Vec<f64>, ReferenceError> {
    segment.check("x", x)?;
    segment.check_channels("mean", &moments.mean)?;
    let dmean = segment.per_channel("dmean", Some(dmean), 0.0)?;
    let dvariance = segment.per_channel("dvariance", Some(dvariance), 0.0)?;
    let m = moments.count as f64;
    Ok(segment.map(|c, i| dmean[c] / m + dvariance[c] * 2.0 * (x[i].to_f64() - moments.mean[c]) / m))
}
