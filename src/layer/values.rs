//! The parameters and running statistics of a layer as plain values: given, and taken.

use super::Layer;
use crate::buffer::BufferRange;
use crate::device::DeviceError;
use crate::state::{RunningStatistics, RunningValues, download};
use crate::tensor::{UploadError, Vector, check_length};

/// Everything that a layer keeps from batch to batch, as far as its options have it; what PyTorch calls its state:
/// `weight`, `bias`, `running_mean`, `running_var` and `num_batches_tracked`.
///
/// ```no_run
/// use wgpu_batchnorm::{Context, Layer, LayerValues, Options, RunningValues};
///
/// let context = Context::new_blocking()?;
/// let mut layer = Layer::new(&context, Options::new(2))?;
/// let values = LayerValues {
///     weight: Some(vec![1.0, 2.0]),
///     bias: Some(vec![0.0, 0.5]),
///     running: Some(RunningValues::new(vec![0.1, 0.2], vec![1.0, 4.0], 100)),
/// };
/// layer.set_values(&values)?;
/// assert_eq!(layer.values_blocking()?, values);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerValues {
    /// γ, if the layer has one.
    pub weight: Option<Vec<f32>>,
    /// β, if the layer has one.
    pub bias: Option<Vec<f32>>,
    /// The running statistics, if the layer keeps some.
    pub running: Option<RunningValues>,
}

impl Layer {
    /// Replaces everything that the layer keeps. If anything does not fit, nothing is changed.
    ///
    /// # Errors
    /// [`UploadError`] if a part is missing or not expected, does not have C values, or the device fails.
    pub fn set_values(&mut self, values: &LayerValues) -> Result<(), UploadError> {
        let LayerValues { weight, bias, running } = values;
        let weight =
            self.parameter("weight", self.weight.is_some(), weight.as_deref().unwrap_or_default())?;
        let bias = self.parameter("bias", self.bias.is_some(), bias.as_deref().unwrap_or_default())?;
        let none = RunningValues::start(0);
        let running = self.running_statistics(running.as_ref().unwrap_or(&none))?;
        (self.weight, self.bias, self.running) = (weight, bias, running);
        Ok(())
    }

    /// Everything that the layer keeps.
    ///
    /// # Errors
    /// [`DeviceError`] if the device fails.
    pub async fn values(&self) -> Result<LayerValues, DeviceError> {
        let context = self.batch_norm.context();
        let mut values = LayerValues { running: self.running().await?, ..LayerValues::default() };
        if let Some(weight) = &self.weight {
            values.weight = Some(download(context, "weight", weight).await?);
        }
        if let Some(bias) = &self.bias {
            values.bias = Some(download(context, "bias", bias).await?);
        }
        Ok(values)
    }

    /// The blocking twin of [`Layer::values`].
    ///
    /// # Errors
    /// As [`Layer::values`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn values_blocking(&self) -> Result<LayerValues, DeviceError> {
        pollster::block_on(self.values())
    }

    /// Replaces γ; the layer must have one.
    ///
    /// # Errors
    /// [`UploadError`] if there are not C values, or none are expected.
    pub fn set_weight(&mut self, values: &[f32]) -> Result<(), UploadError> {
        self.weight = self.parameter("weight", self.weight.is_some(), values)?;
        Ok(())
    }

    /// Replaces β; the layer must have one.
    ///
    /// # Errors
    /// [`UploadError`] if there are not C values, or none are expected.
    pub fn set_bias(&mut self, values: &[f32]) -> Result<(), UploadError> {
        self.bias = self.parameter("bias", self.bias.is_some(), values)?;
        Ok(())
    }

    /// Replaces the running statistics; the layer must keep some.
    ///
    /// # Errors
    /// [`UploadError`] if there are not C values each, or none are expected.
    pub fn set_running(&mut self, values: &RunningValues) -> Result<(), UploadError> {
        self.running = self.running_statistics(values)?;
        Ok(())
    }

    /// The running statistics, if the layer keeps some.
    ///
    /// # Errors
    /// [`DeviceError`] if the device fails.
    pub async fn running(&self) -> Result<Option<RunningValues>, DeviceError> {
        match &self.running {
            Some(running) => running.download(self.batch_norm.context()).await.map(Some),
            None => Ok(None),
        }
    }

    /// The blocking twin of [`Layer::running`].
    ///
    /// # Errors
    /// As [`Layer::running`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn running_blocking(&self) -> Result<Option<RunningValues>, DeviceError> {
        pollster::block_on(self.running())
    }

    /// C values on the device, or none where the layer has no such parameter.
    fn parameter(
        &self,
        name: &'static str,
        expected: bool,
        values: &[f32],
    ) -> Result<Option<BufferRange>, UploadError> {
        check_length(name, values.len(), if expected { self.options().channels } else { 0 })?;
        let upload = |values| Vector::upload(self.batch_norm.context(), values).map(|vector| vector.range);
        Ok(expected.then(|| upload(values)).transpose()?)
    }

    /// Running statistics on the device, or none where the layer keeps none.
    fn running_statistics(&self, values: &RunningValues) -> Result<Option<RunningStatistics>, UploadError> {
        let expected = if self.running.is_some() { self.options().channels } else { 0 };
        check_length("running_mean", values.mean.len(), expected)?;
        check_length("running_var", values.var.len(), expected)?;
        let upload = || RunningStatistics::upload(self.batch_norm.context(), values);
        Ok(self.running.is_some().then(upload).transpose()?)
    }
}
