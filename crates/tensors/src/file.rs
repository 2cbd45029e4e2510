//! A file as a whole: its frame and its header.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap};

use safetensors::tensor::Metadata;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::Tensor;

/// A file: tensors and metadata by name. The tensors may borrow their bytes from what was parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File<'a> {
    /// The tensors by name.
    pub tensors: BTreeMap<String, Tensor<'a>>,
    /// The metadata, strings by name.
    pub metadata: BTreeMap<String, String>,
}

/// Why bytes are no safetensors file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not an intact safetensors file: {reason}: fetch the file again")]
pub struct Damaged {
    /// What does not fit.
    pub reason: String,
}

impl<'a> File<'a> {
    /// The file in `bytes`. The tensors borrow from them.
    ///
    /// # Errors
    /// [`Damaged`] if they are no safetensors file: not one at all, truncated, or contradictory.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let damaged = |reason: String| Damaged { reason };
        let (length, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or_else(|| damaged(format!("{} bytes, expected at least 8", bytes.len())))?;
        let length = u64::from_le_bytes(*length);
        let (header, data) =
            usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or_else(
                || damaged(format!("a header of {length} bytes is announced, {} bytes follow", rest.len())),
            )?;
        // Checks that shapes, element types and ranges of bytes agree, and that the ranges leave no gap.
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
            let tensor =
                data.get(start..end).and_then(|b| Tensor::new(info.dtype, info.shape.clone(), b).ok());
            tensors.insert(
                name.clone(),
                tensor.ok_or_else(|| damaged(format!("tensor `{name}` is out of range")))?,
            );
        }
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self { tensors, metadata })
    }

    /// The content of a file with these tensors and metadata: the same bytes in every run.
    ///
    /// The tensors with the largest elements come first, so that every one is aligned.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|(name, tensor)| (Reverse(tensor.dtype()), *name));
        let mut header = Map::new();
        if !self.metadata.is_empty() {
            header.insert("__metadata__".to_owned(), json!(self.metadata));
        }
        let mut end = 0;
        for (name, tensor) in &tensors {
            let start = end;
            end += tensor.bytes().len();
            let entry = json!({
                "dtype": tensor.dtype().to_string(),
                "shape": tensor.shape(),
                "data_offsets": [start, end],
            });
            header.insert((*name).clone(), entry);
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = Vec::with_capacity(8 + header.len() + end);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        for (_, tensor) in tensors {
            bytes.extend(tensor.bytes());
        }
        bytes
    }

    /// The same file with bytes of its own.
    pub fn into_owned(self) -> File<'static> {
        let owned = |(name, tensor): (String, Tensor<'a>)| (name, tensor.into_owned());
        File { tensors: self.tensors.into_iter().map(owned).collect(), metadata: self.metadata }
    }
}

impl Tensor<'_> {
    /// The same tensor with bytes of its own.
    pub fn into_owned(self) -> Tensor<'static> {
        let Self { dtype, shape, bytes } = self;
        Tensor { dtype, shape, bytes: Cow::Owned(bytes.into_owned()) }
    }
}
