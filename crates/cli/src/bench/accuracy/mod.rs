//! Whether results are right: each is compared with the f64 reference, by the bounds of the oracle cases.
//!
//! Most bounds are those of [`wgpu_batchnorm_measure::accuracy`]. With ε, u and p as there, the others are
//!
//! | result | bound |
//! |---|---|
//! | batch mean | 8ε·(σ + p·max│u│) + 2ε·│mean│ |
//! | batch variance | 2·10⁻⁶·variance + p·8ε·σ·max│u│ |
//! | running mean | 8ε·(σ + p·max│u│) + 4ε·(│before│ + │batch mean│), for each ghost batch |
//! | running variance | 4·10⁻⁶·(before + batch variance) + p·8ε·σ·max│u│, for each ghost batch |
//! | grad_dy, grad_x | 256ε times the largest value expected |
//! | scale, offset | 8ε·│scale│, 8ε·(│β│ + │mean·scale│) |
//!
//! What is stored in 16 bits may be off by its rounding too: relative 1.05·2⁻¹¹ and absolute 2⁻²⁴ for f16, relative
//! 1.05·2⁻⁸ for bf16.
//!
//! Of a tensor with more than [`MOST_ELEMENTS`] elements some channels are checked, in full, because the
//! reference takes minutes for the others: see [`CheckedChannels`].

mod expected;
#[cfg(test)]
mod tests;

pub(crate) use wgpu_batchnorm_measure::accuracy::Accuracy;

use super::config::{Config, EPS};
use super::data::Data;
use super::row::Pass;
use super::tensors::Results;
use expected::{Expected, Extent};
use std::borrow::Cow;
use wgpu_batchnorm::reference::{self, Parameters, Problem, ReferenceError};
use wgpu_batchnorm::{Activation, Dtype, Order, RunningValues, Shape, Source};
use wgpu_batchnorm_measure::accuracy::{Bounds, CheckedChannels, EPSILON, Worst, channel_of, group_of};

/// The most elements that are compared with the reference.
const MOST_ELEMENTS: usize = 1 << 25;

/// The inputs as far as they are checked.
pub(crate) struct Judge<'a> {
    config: Config,
    checked: CheckedChannels,
    /// Of the checked channels.
    shape: Shape,
    x: Cow<'a, [f32]>,
    dy: Cow<'a, [f32]>,
    extra: Cow<'a, [f32]>,
    mask: Option<&'a [bool]>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    running: RunningValues,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(data: &'a Data, config: &Config) -> anyhow::Result<Self> {
        Self::with_limit(data, config, MOST_ELEMENTS)
    }

    fn with_limit(data: &'a Data, config: &Config, most_elements: usize) -> anyhow::Result<Self> {
        let checked = CheckedChannels::of(data.shape, most_elements)?;
        let shape = *checked.shape();
        let RunningValues { mean, var, num_batches_tracked, .. } = &data.running;
        let running = RunningValues::new(checked.pick(mean), checked.pick(var), *num_batches_tracked);
        let (weight, bias) = (checked.pick(&data.weight), checked.pick(&data.bias));
        let [x, dy, extra] = [&data.x, &data.dy, &data.extra].map(|tensor| checked.gather(tensor));
        let (mask, config) = (data.mask.as_deref(), *config);
        Ok(Self { config, checked, shape, x, dy, extra, mask, weight, bias, running })
    }

    /// The number of channels that are checked, if these are not all.
    pub(crate) fn subset(&self) -> Option<usize> {
        (!self.checked.are_all()).then_some(self.checked.channels().len())
    }

    /// The elements whose z is so near to 0, where the slope of an activation after jumps, that rounding
    /// decides its sign: no bound holds for their gradient, unless their dy is 0.
    pub(crate) fn doubtful(&self) -> Result<Vec<usize>, ReferenceError> {
        let jumps = matches!(self.config.activation(), Activation::Relu | Activation::LeakyRelu { .. });
        if !jumps || self.config.order() == Order::Pre {
            return Ok(Vec::new());
        }
        let problem = self.problem(self.config.mode().source);
        let forward = reference::forward(&problem, &self.x)?;
        let bounds = Bounds::new(&problem, &forward, [&self.x, &self.dy, &self.extra]).y();
        let near = |&i: &usize| {
            let (group, c) = (group_of(&problem, i), channel_of(&self.shape, i));
            forward.z[i].abs() <= bounds[group * self.shape.channels() + c]
        };
        Ok((0..self.x.len()).filter(near).map(|i| self.checked.index_in_whole(i)).collect())
    }

    /// The verdict on what a pass has left.
    pub(crate) fn judge(&self, pass: Pass, results: &Results) -> anyhow::Result<Accuracy> {
        let mut worst = Worst::default();
        for Expected { name, extent, values, bounds } in self.expected(pass)? {
            let got = results.iter().find(|(result, _)| *result == name);
            let got = got.map(|(_, values)| &values[..]).unwrap_or_default();
            match extent {
                Extent::Full => {
                    let (relative, absolute) = self.rounding();
                    let problem = self.problem(Source::Batch);
                    worst.compare(name, &values, &self.checked.gather(got), |i| {
                        let (group, c) = (group_of(&problem, i), channel_of(&self.shape, i));
                        bounds[group * self.shape.channels() + c] + relative * values[i].abs() + absolute
                    });
                }
                Extent::Channels => worst.compare(name, &values, &self.checked.pick(got), |i| bounds[i]),
                Extent::One => worst.compare(name, &values, got, |i| bounds[i]),
            }
        }
        Ok(worst.into())
    }

    /// What storing a result may cost, relative and absolute.
    fn rounding(&self) -> (f64, f64) {
        match self.config.dtype() {
            Dtype::F32 => (0.0, 0.0),
            Dtype::F16 => (1.05 / 2048.0, EPSILON),
            Dtype::BF16 => (1.05 / 256.0, 0.0),
        }
    }

    fn problem(&self, source: Source) -> Problem<'_> {
        let parameters = Parameters { weight: Some(&self.weight), bias: Some(&self.bias), epsilon: EPS };
        let source = match source {
            Source::Batch => reference::Source::Batch,
            Source::Running | Source::Given => {
                reference::Source::Held { mean: &self.running.mean, variance: &self.running.var }
            }
        };
        Problem {
            activation: self.config.activation(),
            order: self.config.order(),
            residual: self.config.residual.then_some(&self.extra),
            mask: self.mask,
            ghost_batch: self.config.ghost.map(Into::into),
            ..Problem::new(self.shape, parameters, source)
        }
    }
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
