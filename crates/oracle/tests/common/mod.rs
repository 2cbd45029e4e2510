//! Case files to read, and to take apart and put together again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, unreachable_pub)]

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf};

use safetensors::tensor::{Dtype, Metadata, View};
use wgpu_batchnorm_oracle::{Case, CaseError, Outputs};

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases")
}

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.safetensors"))).unwrap()
}

pub fn case(name: &str) -> Case {
    Case::from_bytes(name, &bytes(name)).unwrap()
}

/// The expected values as outputs.
pub fn perfect(case: &Case) -> Outputs {
    let mut outputs = Outputs {
        num_batches_tracked: case.expected_num_batches_tracked,
        num_batches_skipped: case.expected_num_batches_skipped,
        ..Outputs::default()
    };
    for (name, expected) in &case.expected {
        let values = expected.values.iter().map(|&value| value as f32).collect();
        outputs.insert(name, expected.shape.clone(), values);
    }
    outputs
}

/// A case file in pieces.
#[derive(Clone)]
pub struct Pieces {
    pub tensors: BTreeMap<String, Piece>,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Clone)]
pub struct Piece {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl Pieces {
    pub fn of(name: &str) -> Self {
        let bytes = bytes(name);
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header: Metadata = serde_json::from_slice(header).unwrap();
        let piece = |name: &str| {
            let info = header.info(name).unwrap();
            let data = data[info.data_offsets.0..info.data_offsets.1].to_vec();
            Piece { dtype: info.dtype, shape: info.shape.clone(), data }
        };
        let tensors = header.offset_keys().into_iter().map(|name| (name.clone(), piece(&name))).collect();
        let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Self { tensors, metadata }
    }

    pub fn without(mut self, tensor: &str) -> Self {
        self.tensors.remove(tensor).unwrap();
        self
    }

    pub fn with_f32(mut self, tensor: &str, shape: &[usize], value: f32) -> Self {
        let data = std::iter::repeat_n(value.to_le_bytes(), shape.iter().product()).flatten().collect();
        self.tensors.insert(tensor.to_owned(), Piece { dtype: Dtype::F32, shape: shape.to_vec(), data });
        self
    }

    pub fn without_metadata(mut self, key: &str) -> Self {
        self.metadata.remove(key).unwrap();
        self
    }

    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let metadata = self.metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        safetensors::serialize(&self.tensors, Some(metadata)).unwrap()
    }

    pub fn parse(&self) -> Result<Case, CaseError> {
        Case::from_bytes("edited", &self.bytes())
    }

    /// The reason the file is refused.
    pub fn refusal(&self) -> String {
        self.parse().expect_err("the file is accepted").to_string()
    }
}

impl View for &Piece {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}
