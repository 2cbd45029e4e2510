//! Tensors of a case file. The header is read through the safetensors crate, the bytes here:
//! its own reader adds up the sizes a header claims unchecked and can overflow on a hostile file.

use std::collections::BTreeMap;

use half::{bf16, f16};
use safetensors::tensor::{Dtype as Stored, Metadata};

use crate::{CaseError, Dtype};

/// An input tensor, its values as `f32`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The element type in the file.
    pub dtype: Dtype,
    /// The sizes in memory order.
    pub shape: Vec<usize>,
    /// The values; from 16-bit types converted exactly. Empty if the element type is not known.
    pub values: Vec<f32>,
}

/// An expected output and its bound: `|got − expected| ≤ atol + rtol·|expected|`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// The sizes in memory order.
    pub shape: Vec<usize>,
    /// The values; NaN or infinite where the result must be NaN or infinite.
    pub values: Vec<f64>,
    /// The absolute bound: one per channel, or one in all.
    pub atol: Vec<f32>,
    /// The relative bound.
    pub rtol: f64,
    /// The largest absolute error of PyTorch's own float32 result, where it is known.
    pub torch_f32_error: Option<f64>,
    /// How many neighbours in memory belong to the same channel.
    pub(crate) run: usize,
}

impl Expected {
    /// The largest error that passes at flat index `index`.
    pub fn bound(&self, index: usize) -> f64 {
        let channel = match self.atol.len() {
            0 | 1 => 0,
            channels => index / self.run.max(1) % channels,
        };
        let atol = self.atol.get(channel).copied().unwrap_or(0.0);
        let expected = self.values.get(index).map_or(0.0, |value| value.abs());
        // Not `rtol * expected` alone: 0 · ∞ is NaN.
        f64::from(atol) + if self.rtol == 0.0 { 0.0 } else { self.rtol * expected }
    }
}

/// A file as stored: tensors by name, and the metadata.
pub(crate) struct File<'a> {
    tensors: BTreeMap<String, Raw<'a>>,
    pub(crate) metadata: BTreeMap<String, String>,
}

#[derive(Clone)]
pub(crate) struct Raw<'a> {
    dtype: Stored,
    pub(crate) shape: Vec<usize>,
    bytes: &'a [u8],
}

impl<'a> File<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, CaseError> {
        let damaged = |reason: String| CaseError::Damaged { reason };
        let (length, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or_else(|| damaged(format!("{} bytes, expected at least 8", bytes.len())))?;
        let length = u64::from_le_bytes(*length);
        let (header, data) =
            usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or_else(
                || damaged(format!("a header of {length} bytes is announced, {} bytes follow", rest.len())),
            )?;
        let header: Metadata =
            serde_json::from_slice(header).map_err(|error| damaged(format!("header: {error}")))?;
        if header.data_len() != data.len() {
            let announced = header.data_len();
            return Err(damaged(format!(
                "{announced} bytes of tensors are announced, {} follow",
                data.len()
            )));
        }
        let mut tensors = BTreeMap::new();
        for (name, info) in header.tensors() {
            let (start, end) = info.data_offsets;
            let bytes =
                data.get(start..end).ok_or_else(|| damaged(format!("tensor `{name}` is out of range")))?;
            tensors.insert(name, Raw { dtype: info.dtype, shape: info.shape.clone(), bytes });
        }
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self { tensors, metadata })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Raw<'a>> {
        self.tensors.get(name)
    }

    /// Every tensor that is neither expected nor a bound.
    pub(crate) fn inputs(&self) -> BTreeMap<String, Tensor> {
        self.tensors
            .iter()
            .filter(|(name, _)| !name.starts_with("expect.") && !name.starts_with("atol."))
            .map(|(name, raw)| (name.clone(), raw.to_tensor()))
            .collect()
    }

    /// The expected outputs, by name without the prefix.
    pub(crate) fn expected(&self) -> impl Iterator<Item = (&str, &Raw<'a>)> {
        self.tensors.iter().filter_map(|(name, raw)| Some((name.strip_prefix("expect.")?, raw)))
    }
}

impl Raw<'_> {
    pub(crate) fn dtype(&self) -> Dtype {
        Dtype::from_name(&format!("{:?}", self.dtype))
    }

    fn to_tensor(&self) -> Tensor {
        let values = match self.dtype {
            Stored::F32 => self.decode(f32::from_le_bytes),
            Stored::F16 => self.decode(|bytes| f16::from_le_bytes(bytes).to_f32()),
            Stored::BF16 => self.decode(|bytes| bf16::from_le_bytes(bytes).to_f32()),
            _ => Vec::new(),
        };
        Tensor { dtype: self.dtype(), shape: self.shape.clone(), values }
    }

    /// The values if they are stored as F64 or F32.
    pub(crate) fn to_f64(&self) -> Option<Vec<f64>> {
        match self.dtype {
            Stored::F64 => Some(self.decode(f64::from_le_bytes)),
            Stored::F32 => Some(self.decode(|bytes| f64::from(f32::from_le_bytes(bytes)))),
            _ => None,
        }
    }

    /// The values if they are stored as F32.
    pub(crate) fn to_f32(&self) -> Option<Vec<f32>> {
        (self.dtype == Stored::F32).then(|| self.decode(f32::from_le_bytes))
    }

    fn decode<const SIZE: usize, T>(&self, value: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
        self.bytes.as_chunks::<SIZE>().0.iter().map(|&bytes| value(bytes)).collect()
    }
}
