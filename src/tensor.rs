//! Values on a device for the short path: uploaded, and downloaded.

use crate::buffer::BufferRange;
use crate::context::Context;
use crate::device::{DeviceError, create_buffer, create_buffer_with};
use crate::elementwise::Dtype;
use crate::shape::Shape;
use half::{bf16, f16};
use thiserror::Error;

const TENSOR_USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// N·C·S values on a device.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub(crate) context: Context,
    pub(crate) shape: Shape,
    dtype: Dtype,
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
    /// A tensor of f32 that holds `values`, in memory order.
    ///
    /// # Errors
    /// [`UploadError`] if there are not N·C·S of them, the device has no memory, or it is lost.
    pub fn upload(context: &Context, shape: Shape, values: &[f32]) -> Result<Self, UploadError> {
        Self::upload_as(context, shape, Dtype::F32, values)
    }

    /// A tensor that holds `values`, in memory order, rounded to the nearest number that `dtype` has (to even).
    ///
    /// # Errors
    /// [`UploadError`] if there are not N·C·S of them, the device has no memory, or it is lost.
    pub fn upload_as(
        context: &Context,
        shape: Shape,
        dtype: Dtype,
        values: &[f32],
    ) -> Result<Self, UploadError> {
        check_length("a tensor", values.len(), shape.elements())?;
        context.check_alive()?;
        let half: Vec<u16> = match dtype {
            Dtype::F32 => Vec::new(),
            Dtype::F16 => values.iter().map(|&value| f16::from_f32(value).to_bits()).collect(),
            Dtype::BF16 => values.iter().map(|&value| bf16::from_f32(value).to_bits()).collect(),
        };
        let bytes = match dtype {
            Dtype::F32 => bytemuck::cast_slice(values),
            Dtype::F16 | Dtype::BF16 => bytemuck::cast_slice(&half),
        };
        let buffer = create_buffer_with(context.checked(), "tensor", bytes, TENSOR_USAGE)?;
        Ok(Self { context: context.clone(), shape, dtype, range: context.range(buffer) })
    }

    /// A tensor of f32 zeros.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory or is lost.
    pub fn zeros(context: &Context, shape: Shape) -> Result<Self, DeviceError> {
        Self::zeros_as(context, shape, Dtype::F32)
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory or is lost.
    pub fn zeros_as(context: &Context, shape: Shape, dtype: Dtype) -> Result<Self, DeviceError> {
        context.check_alive()?;
        let bytes = shape.elements() as u64 * dtype.bytes();
        let buffer = create_buffer(context.checked(), "tensor", bytes, TENSOR_USAGE)?;
        Ok(Self { context: context.clone(), shape, dtype, range: context.range(buffer) })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
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
        if self.dtype == Dtype::F32 {
            return crate::state::download(&self.context, "tensor", &self.range).await;
        }
        let mut half: Vec<u16> = crate::state::download(&self.context, "tensor", &self.range).await?;
        // A buffer is a whole number of words.
        half.truncate(self.shape.elements());
        let value = match self.dtype {
            Dtype::BF16 => |bits| bf16::from_bits(bits).to_f32(),
            Dtype::F32 | Dtype::F16 => |bits| f16::from_bits(bits).to_f32(),
        };
        Ok(half.into_iter().map(value).collect())
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
    pub(crate) context: Context,
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
        let buffer = create_buffer_with(context.checked(), "vector", bytes, TENSOR_USAGE)?;
        Ok(Self { context: context.clone(), range: context.range(buffer) })
    }

    /// A vector of zeros.
    pub(crate) fn zeros(context: &Context, channels: usize) -> Result<Self, DeviceError> {
        context.check_alive()?;
        let bytes = channels as u64 * size_of::<f32>() as u64;
        let buffer = create_buffer(context.checked(), "vector", bytes, TENSOR_USAGE)?;
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
