//! Values on a device for the short path: uploaded, and downloaded.

use crate::buffer::BufferRange;
use crate::context::Context;
use crate::device::{DeviceError, create_buffer, create_buffer_with};
use crate::shape::Shape;
use thiserror::Error;

const TENSOR_USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// N·C·S f32 values on a device.
#[derive(Clone, Debug)]
pub struct Tensor {
    context: Context,
    pub(crate) shape: Shape,
    pub(crate) range: BufferRange,
}

/// Why values did not become a tensor, or state.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum UploadError {
    /// The number of values is not that of the shape.
    #[error("{what} has {actual} values, expected {expected}: give one for each element, in memory order")]
    Length {
        /// What was given.
        what: &'static str,
        /// Its values.
        actual: usize,
        /// The values that it should have.
        expected: usize,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

pub(crate) fn check_length(what: &'static str, actual: usize, expected: usize) -> Result<(), UploadError> {
    if actual == expected { Ok(()) } else { Err(UploadError::Length { what, actual, expected }) }
}

impl Tensor {
    /// A tensor that holds `values`, in memory order.
    ///
    /// # Errors
    /// [`UploadError`] if there are not N·C·S of them, the device has no memory, or it is lost.
    pub fn upload(context: &Context, shape: Shape, values: &[f32]) -> Result<Self, UploadError> {
        check_length("a tensor", values.len(), shape.elements())?;
        context.check_alive()?;
        let bytes = bytemuck::cast_slice(values);
        let buffer = create_buffer_with(context.device(), "tensor", bytes, TENSOR_USAGE)?;
        Ok(Self { context: context.clone(), shape, range: context.range(buffer) })
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory or is lost.
    pub fn zeros(context: &Context, shape: Shape) -> Result<Self, DeviceError> {
        context.check_alive()?;
        let bytes = shape.elements() as u64 * size_of::<f32>() as u64;
        let buffer = create_buffer(context.device(), "tensor", bytes, TENSOR_USAGE)?;
        Ok(Self { context: context.clone(), shape, range: context.range(buffer) })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Where it lies, for the recording path.
    pub fn range(&self) -> &BufferRange {
        &self.range
    }

    /// The values, in memory order, after everything that was submitted before.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for the copy or is lost.
    pub async fn download(&self) -> Result<Vec<f32>, DeviceError> {
        crate::state::download(&self.context, "tensor", &self.range).await
    }

    /// The blocking twin of [`Tensor::download`].
    ///
    /// # Errors
    /// As [`Tensor::download`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download_blocking(&self) -> Result<Vec<f32>, DeviceError> {
        pollster::block_on(self.download())
    }
}

/// C f32 values on a device.
#[derive(Clone, Debug)]
pub struct Vector {
    context: Context,
    pub(crate) range: BufferRange,
}

impl Vector {
    /// A vector that holds `values`, one a channel.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory or is lost.
    pub fn upload(context: &Context, values: &[f32]) -> Result<Self, DeviceError> {
        context.check_alive()?;
        let bytes = bytemuck::cast_slice(values);
        let buffer = create_buffer_with(context.device(), "vector", bytes, TENSOR_USAGE)?;
        Ok(Self { context: context.clone(), range: context.range(buffer) })
    }

    /// Where it lies, for the recording path.
    pub fn range(&self) -> &BufferRange {
        &self.range
    }

    /// The values, one a channel, after everything that was submitted before.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for the copy or is lost.
    pub async fn download(&self) -> Result<Vec<f32>, DeviceError> {
        crate::state::download(&self.context, "a vector", &self.range).await
    }

    /// The blocking twin of [`Vector::download`].
    ///
    /// # Errors
    /// As [`Vector::download`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download_blocking(&self) -> Result<Vec<f32>, DeviceError> {
        pollster::block_on(self.download())
    }
}
