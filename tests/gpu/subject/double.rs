//! A double backward pass beside the reference.

use super::bounds::rounding;
use super::{Buffers, EPSILON, Random, Setup, near, normals, positions, rounded, submit};
use libtest_mimic::Failed;
use std::ops::Range;
use wgpu_batchnorm::reference::{self, Group};
use wgpu_batchnorm::{BatchNormError, BoundOperation, Context, DoubleBackwardTensors, Tensor, Vector};

/// A step, the cotangents of its gradients, and what comes of them.
pub(crate) struct Double {
    pub(crate) buffers: Buffers,
    ddx: Vec<f32>,
    ddweight: Vec<f32>,
    ddbias: Vec<f32>,
    pub(crate) ddx_tensor: Tensor,
    pub(crate) ddweight_vector: Vector,
    pub(crate) ddbias_vector: Vector,
    pub(crate) grad_dy: Tensor,
    pub(crate) grad_x: Tensor,
    pub(crate) grad_weight: Vector,
}

struct Terms {
    grad_dy: f64,
    grad_x: f64,
    grad_weight: f64,
}

impl Double {
    pub(crate) fn new(context: &Context, setup: &Setup) -> Result<Self, Failed> {
        Self::with_ddx_mean(context, setup, 0.2)
    }

    fn with_ddx_mean(context: &Context, setup: &Setup, mean: f64) -> Result<Self, Failed> {
        let setup = setup.clone().rounded();
        let (shape, dtype) = (setup.shape, setup.options.dtype);
        let (elements, channels) = (shape.elements(), shape.channels());
        let ddx = rounded(dtype, &Random(elements as u64 + 3).normals(elements, mean, 1.0));
        let (ddweight, ddbias) = (normals(4, channels), normals(5, channels));
        let output = || Tensor::upload_as(context, shape, dtype, &vec![77.0; elements]);
        Ok(Self {
            ddx_tensor: Tensor::upload_as(context, shape, dtype, &ddx)?,
            ddweight_vector: Vector::upload(context, &ddweight)?,
            ddbias_vector: Vector::upload(context, &ddbias)?,
            grad_dy: output()?,
            grad_x: output()?,
            grad_weight: Vector::upload(context, &vec![77.0; channels])?,
            buffers: Buffers::new(context, &setup)?,
            ddx,
            ddweight,
            ddbias,
        })
    }

    pub(crate) fn tensors(&self) -> DoubleBackwardTensors<'_> {
        let range = |tensor: &Tensor| tensor.range().clone();
        let vector = |vector: &Vector| Some(vector.range().clone());
        DoubleBackwardTensors {
            x: range(&self.buffers.x),
            dy: range(&self.buffers.dy),
            ddx: range(&self.ddx_tensor),
            ddweight: vector(&self.ddweight_vector),
            ddbias: vector(&self.ddbias_vector),
            mask: self.buffers.mask.as_ref(),
            saved: &self.buffers.saved,
            grad_dy: range(&self.grad_dy),
            grad_x: range(&self.grad_x),
            grad_weight: vector(&self.grad_weight),
            workspace: None,
        }
    }

    pub(crate) fn bind(&self, tensors: &DoubleBackwardTensors<'_>) -> Result<BoundOperation, BatchNormError> {
        let Buffers { setup, batch_norm, .. } = &self.buffers;
        batch_norm.bind_double_backward(&setup.shape, setup.mode, tensors)
    }

    /// Runs the forward and the double backward pass.
    pub(crate) fn submit(
        &self,
        context: &Context,
        tensors: &DoubleBackwardTensors<'_>,
    ) -> Result<(), Failed> {
        let forward = self.buffers.bind_forward(&self.buffers.forward())?;
        let double = self.bind(tensors)?;
        submit::<BatchNormError>(context, |encoder| {
            forward.record(&mut *encoder)?;
            double.record(encoder)
        })?;
        Ok(())
    }

    /// Compares what there is with the reference, the cotangents of dγ and dβ being 0 if they were not given.
    pub(crate) fn compare(&self, ddweight: bool, ddbias: bool, grad_weight: bool) -> Result<(), Failed> {
        let setup = &self.buffers.setup;
        let zeros = vec![0.0; setup.shape.channels()];
        let expected = reference::double_backward(
            &setup.problem(),
            &setup.x,
            &setup.dy,
            &self.ddx,
            if ddweight { &self.ddweight } else { &zeros },
            if ddbias { &self.ddbias } else { &zeros },
        )?;
        let forward = reference::forward(&setup.problem(), &setup.x)?;
        let (relative, absolute) = rounding(setup.options.dtype);
        let (grad_dy, grad_x) = (self.grad_dy.download_blocking()?, self.grad_x.download_blocking()?);
        let describe = |what: &str| format!("{} {:?} {what}", setup.shape, setup.mode);
        for (c, got_weight) in self.grad_weight.download_blocking()?.into_iter().enumerate() {
            let mut weight_terms = 0.0;
            for (samples, group) in setup.groups().into_iter().zip(&forward.groups) {
                let terms = self.terms(c, samples.clone(), group, [ddweight, ddbias]);
                weight_terms += terms.grad_weight;
                for (i, position) in positions(setup.shape, c, samples) {
                    for (what, got, expected, terms) in [
                        ("grad_dy", grad_dy[i], expected.grad_dy[i], terms.grad_dy),
                        ("grad_x", grad_x[i], expected.grad_x[i], terms.grad_x),
                    ] {
                        let bound = if setup.is_shown(position) {
                            32.0 * EPSILON * terms + absolute + relative * expected.abs()
                        } else {
                            0.0
                        };
                        near(&describe(&format!("{what}[{i}]")), got, expected, bound)?;
                    }
                }
            }
            let (expected, bound) = if grad_weight {
                (expected.grad_weight[c], 32.0 * EPSILON * weight_terms)
            } else {
                (77.0, 0.0)
            };
            near(&describe(&format!("grad_weight[{c}]")), got_weight, expected, bound)?;
        }
        Ok(())
    }

    /// The sizes of what adds up to each gradient: results may cancel to much less, their errors do not.
    fn terms(&self, c: usize, samples: Range<usize>, group: &Group, given: [bool; 2]) -> Terms {
        let setup = &self.buffers.setup;
        let (mean, inverse) = (group.statistics.mean[c], group.statistics.inverse_sigma[c]);
        let gamma = if setup.options.weight { f64::from(setup.weight[c]).abs() } else { 1.0 };
        let [a, b] = [(given[0], &self.ddweight), (given[1], &self.ddbias)]
            .map(|(given, values)| if given { f64::from(values[c]).abs() } else { 0.0 });
        let shown: Vec<usize> = positions(setup.shape, c, samples)
            .filter(|&(_, position)| setup.is_shown(position))
            .map(|(i, _)| i)
            .collect();
        let count = shown.len().max(1) as f64;
        let mean_of = |values: &[f32]| shown.iter().map(|&i| f64::from(values[i])).sum::<f64>() / count;
        // Where the statistics are the batch's, the means of dy and ddx have no part in what is left of them.
        let means =
            if group.statistics.constant { [0.0; 2] } else { [mean_of(&setup.dy), mean_of(&self.ddx)] };
        let g = |i: usize| (f64::from(setup.dy[i]) - means[0]).abs();
        let v = |i: usize| (f64::from(self.ddx[i]) - means[1]).abs();
        let h = |i: usize| ((f64::from(setup.x[i]) - mean) * inverse).abs();
        let most = |f: &dyn Fn(usize) -> f64| shown.iter().map(|&i| f(i)).fold(0.0, f64::max);
        let average = |f: &dyn Fn(usize) -> f64| shown.iter().map(|&i| f(i)).sum::<f64>() / count;
        let gv = average(&|i| g(i) * v(i));
        if group.statistics.constant {
            return Terms {
                grad_dy: gamma * inverse * most(&v) + a * most(&h) + b,
                grad_x: a * inverse * most(&g),
                grad_weight: count * gv * inverse,
            };
        }
        let (gh, vh) = (average(&|i| g(i) * h(i)), average(&|i| v(i) * h(i)));
        let covariance = gv + average(&g) * average(&v) + gh * vh;
        let (big_g, big_v) = (most(&g) + average(&g) + most(&h) * gh, most(&v) + average(&v) + most(&h) * vh);
        Terms {
            grad_dy: gamma * inverse * big_v + a * most(&h) + b,
            grad_x: gamma * inverse * inverse * (covariance * most(&h) + gh * big_v + vh * big_g)
                + a * inverse * big_g,
            grad_weight: count * covariance * inverse,
        }
    }

    /// The same with cotangents of dx that have this mean.
    pub(crate) fn check_with_ddx_mean(context: &Context, setup: &Setup, mean: f64) -> Result<(), Failed> {
        let double = Self::with_ddx_mean(context, setup, mean)?;
        double.submit(context, &double.tensors())?;
        double.compare(true, true, true)
    }

    /// Runs both passes with everything there is, and compares.
    pub(crate) fn check(context: &Context, setup: &Setup) -> Result<(), Failed> {
        let double = Self::new(context, setup)?;
        double.submit(context, &double.tensors())?;
        double.compare(true, true, true)
    }
}
