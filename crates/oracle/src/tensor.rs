//! Tensors of a case file.

use std::collections::BTreeMap;

use wgpu_batchnorm_tensors::{Dtype as Stored, File as Whole, Tensor as Entry};

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
pub(crate) struct Raw<'a>(Entry<'a>);

impl<'a> File<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, CaseError> {
        let Whole { tensors, metadata } = Whole::parse(bytes)?;
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, Raw(tensor))).collect();
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
    pub(crate) fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    pub(crate) fn dtype(&self) -> Dtype {
        Dtype::from_name(&self.0.dtype().to_string())
    }

    fn to_tensor(&self) -> Tensor {
        let values = self.0.to_f32().unwrap_or_default();
        Tensor { dtype: self.dtype(), shape: self.shape().to_vec(), values }
    }

    /// The values if they are stored as F64 or F32.
    pub(crate) fn to_f64(&self) -> Option<Vec<f64>> {
        matches!(self.0.dtype(), Stored::F64 | Stored::F32).then(|| self.0.to_f64())?
    }

    /// The values if they are stored as F32.
    pub(crate) fn to_f32(&self) -> Option<Vec<f32>> {
        (self.0.dtype() == Stored::F32).then(|| self.0.to_f32())?
    }
}
