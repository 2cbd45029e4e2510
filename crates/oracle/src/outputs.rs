//! Computed outputs, and saving them.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use safetensors::tensor::{Dtype as Stored, View};

use crate::SaveError;

/// The outputs computed for one case, by name: `y`, `dx`, `running_mean`, ….
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The tensors by name.
    pub tensors: BTreeMap<String, Output>,
    /// The number of batches tracked after the step, where the case has one.
    pub num_batches_tracked: Option<u64>,
}

/// One computed tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The sizes in memory order.
    pub shape: Vec<usize>,
    /// The values, as many as the sizes say; of 16-bit outputs converted exactly.
    pub values: Vec<f32>,
}

impl Outputs {
    /// Adds the output `name`, or replaces it.
    pub fn insert(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) {
        self.tensors.insert(name.into(), Output { shape, values });
    }
}

/// Writes the outputs to a safetensors file: F32 under their plain names, `num_batches_tracked` as
/// metadata. A file at `path` is replaced.
///
/// # Errors
/// [`SaveError`] if an output's shape and values disagree, or the file cannot be written.
pub fn save_outputs(path: impl AsRef<Path>, outputs: &Outputs) -> Result<(), SaveError> {
    let path = path.as_ref();
    for (tensor, Output { shape, values }) in &outputs.tensors {
        let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if elements != Some(values.len()) {
            let (tensor, shape) = (tensor.clone(), shape.clone());
            return Err(SaveError::Length { tensor, actual: values.len(), shape });
        }
    }
    let counter = outputs.num_batches_tracked;
    let metadata = counter.map(|count| [("num_batches_tracked".to_owned(), count.to_string())].into());
    let bytes = safetensors::serialize(&outputs.tensors, metadata)
        .map_err(|error| SaveError::Encode { reason: error.to_string() })?;
    std::fs::write(path, bytes).map_err(|source| SaveError::Write { path: path.to_owned(), source })
}

impl View for &Output {
    fn dtype(&self) -> Stored {
        Stored::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values.as_slice())
    }
}
