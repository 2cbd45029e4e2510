//! The layer's parameters and running statistics: what is asked of them, and how they take in a batch where the kernels do
//! not (the moving average with the unbiased variance is theirs, in `on_wgpu.rs`).

use crate::composed::Statistics;
use crate::config::RunningVariance;
use crate::{BatchNorm, Error};
use burn::module::{Param, RunningState};
use burn::tensor::{DType, Device, Tensor};

impl BatchNorm {
    /// What is public may have been replaced.
    pub(crate) fn check_state(&self) -> Result<(), Error> {
        let parameter = |parameter: &Param<Tensor<1>>| parameter.val().dims();
        let state = |state: &RunningState<Tensor<1>>| state.value().dims();
        for (tensor, sizes, expected) in [
            ("gamma", self.gamma.as_ref().map(parameter), self.num_features),
            ("beta", self.beta.as_ref().map(parameter), self.num_features),
            ("the running mean", self.running_mean.as_ref().map(state), self.num_features),
            ("the running variance", self.running_var.as_ref().map(state), self.num_features),
            ("the number of batches", self.batches.as_ref().map(state), 1),
        ] {
            if let Some([actual]) = sizes.filter(|sizes| *sizes != [expected]) {
                return Err(Error::Input { tensor, actual: vec![actual], expected: format!("[{expected}]") });
            }
        }
        match (&self.running_mean, &self.running_var) {
            (Some(_), None) => Err(Error::Settings {
                actual: "there is a running mean without a running variance",
                expected: "both, or neither",
            }),
            (None, Some(_)) => Err(Error::Settings {
                actual: "there is a running variance without a running mean",
                expected: "both, or neither",
            }),
            _ => Ok(()),
        }
    }

    /// γ and β, those that there are.
    pub(crate) fn parameters(&self, dtype: DType) -> [Option<Tensor<1>>; 2] {
        let value = |parameter: &Param<Tensor<1>>| parameter.val().cast(dtype);
        [self.gamma.as_ref().map(value), self.beta.as_ref().map(value)]
    }

    /// The running statistics on a device.
    pub(crate) fn running(&self, device: &Device, dtype: DType, sync: bool) -> Statistics {
        let value = |state: &RunningState<Tensor<1>>| {
            let value = if sync { state.value_sync() } else { state.value() };
            value.to_device(device).cast(dtype)
        };
        Some((value(self.running_mean.as_ref()?), value(self.running_var.as_ref()?)))
    }

    /// Has the running statistics take in mean and biased variance of a batch of so many values a channel.
    pub(crate) fn take_in(&self, mean: Tensor<1>, var: Tensor<1>, values: usize) {
        let dtype = mean.dtype();
        let Some((old_mean, old_var)) = self.running(&mean.device(), dtype, true) else { return };
        let var = match self.settings.running_variance {
            RunningVariance::Biased => var,
            RunningVariance::Unbiased => var.mul_scalar(values as f64 / (values as f64 - 1.0)),
        };
        let mixed = |old: Tensor<1>, new: Tensor<1>| match &self.batches {
            Some(batches) => {
                let count = batches.value_sync().to_device(&old.device()).cast(dtype).add_scalar(1.0);
                old.clone() + (new - old) / count
            }
            None => old.mul_scalar(1.0 - self.momentum) + new.mul_scalar(self.momentum),
        };
        self.keep(mixed(old_mean, mean), mixed(old_var, var));
        if let Some(batches) = &self.batches {
            batches.update(batches.value_sync().add_scalar(1.0).detach());
        }
    }

    pub(crate) fn keep(&self, mean: Tensor<1>, var: Tensor<1>) {
        for (state, value) in [(&self.running_mean, mean), (&self.running_var, var)] {
            if let Some(state) = state {
                state.update(value.detach());
            }
        }
    }
}
