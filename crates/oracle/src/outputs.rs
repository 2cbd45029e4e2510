//! Computed outputs, and saving them.

use std::{collections::BTreeMap, path::Path};

use wgpu_batchnorm_tensors::{File, Tensor};

use crate::SaveError;

/// The outputs computed for one case, by name: `y`, `dx`, `running_mean`, ….
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The tensors by name.
    pub tensors: BTreeMap<String, Output>,
    /// The number of batches tracked after the step, where the case has one.
    pub num_batches_tracked: Option<u64>,
    /// The number of batches that were kept out of the running statistics because a statistic was not
    /// finite, where the case counts them.
    pub num_batches_skipped: Option<u64>,
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

/// Writes the outputs to a safetensors file: F32 under their plain names, `num_batches_tracked` and
/// `num_batches_skipped` as metadata. A file at `path` is replaced.
///
/// # Errors
/// [`SaveError`] if an output's shape and values disagree, or the file cannot be written.
pub fn save_outputs(path: impl AsRef<Path>, outputs: &Outputs) -> Result<(), SaveError> {
    let path = path.as_ref();
    let mut file = File::default();
    for (name, Output { shape, values }) in &outputs.tensors {
        let tensor = Tensor::from_f32(shape.clone(), values).map_err(|_| {
            let (tensor, shape) = (name.clone(), shape.clone());
            SaveError::Length { tensor, actual: values.len(), shape }
        })?;
        file.tensors.insert(name.clone(), tensor);
    }
    let counters = [
        ("num_batches_tracked", outputs.num_batches_tracked),
        ("num_batches_skipped", outputs.num_batches_skipped),
    ];
    let counted = counters.into_iter().filter_map(|(key, count)| Some((key.to_owned(), count?.to_string())));
    file.metadata.extend(counted);
    std::fs::write(path, file.to_bytes()).map_err(|source| SaveError::Write { path: path.to_owned(), source })
}
