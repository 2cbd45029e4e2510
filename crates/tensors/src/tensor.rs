//! A tensor as stored, and its values.

use std::borrow::Cow;

use half::{bf16, f16};
use safetensors::tensor::Dtype;
use thiserror::Error;

/// A tensor as stored: its bytes are as many as its element type and shape say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// The bytes of a tensor are not as many as its element type and shape say.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a tensor of shape {shape:?} and dtype {dtype} is given {actual} bytes, expected {}",
        expected.map_or("fewer than can be addressed".to_owned(), |bytes| bytes.to_string()))]
pub struct LengthError {
    /// The element type.
    pub dtype: Dtype,
    /// The sizes in memory order.
    pub shape: Vec<usize>,
    /// How many bytes there are.
    pub actual: usize,
    /// How many there should be; none if that is not a whole number, or none that can be addressed.
    pub expected: Option<usize>,
}

impl<'a> Tensor<'a> {
    /// A tensor of these bytes, in little-endian order.
    ///
    /// # Errors
    /// [`LengthError`] if they are not as many as the element type and shape say.
    pub fn new(
        dtype: Dtype,
        shape: Vec<usize>,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self, LengthError> {
        let bytes = bytes.into();
        let bits = shape.iter().try_fold(dtype.bitsize(), |product, &size| product.checked_mul(size));
        let expected = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
        if expected == Some(bytes.len()) {
            Ok(Self { dtype, shape, bytes })
        } else {
            Err(LengthError { dtype, shape, actual: bytes.len(), expected })
        }
    }

    /// A tensor of these F32 values.
    ///
    /// # Errors
    /// [`LengthError`] if they are not as many as the shape says.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Result<Self, LengthError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::new(Dtype::F32, shape, bytes)
    }

    /// One I64 value, of the shape `[]`.
    pub fn from_i64(value: i64) -> Self {
        Self { dtype: Dtype::I64, shape: Vec::new(), bytes: Cow::Owned(value.to_le_bytes().to_vec()) }
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The sizes in memory order.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, in little-endian order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The values if they are stored as F32, F16 or BF16: exact.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        match self.dtype {
            Dtype::F32 => Some(self.decode(f32::from_le_bytes)),
            Dtype::F16 => Some(self.decode(|bytes| f16::from_le_bytes(bytes).to_f32())),
            Dtype::BF16 => Some(self.decode(|bytes| bf16::from_le_bytes(bytes).to_f32())),
            _ => None,
        }
    }

    /// The values if they are stored as F64, F32, F16 or BF16: exact.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match self.dtype {
            Dtype::F64 => Some(self.decode(f64::from_le_bytes)),
            _ => Some(self.to_f32()?.into_iter().map(f64::from).collect()),
        }
    }

    /// The values if they are stored as I64.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        (self.dtype == Dtype::I64).then(|| self.decode(i64::from_le_bytes))
    }

    fn decode<const SIZE: usize, T>(&self, value: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
        self.bytes.as_chunks::<SIZE>().0.iter().map(|&bytes| value(bytes)).collect()
    }
}
