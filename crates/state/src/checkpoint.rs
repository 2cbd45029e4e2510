//! All tensors of a file, and the layers among them.

use std::{collections::BTreeSet, path::Path};

use wgpu_batchnorm_tensors::{File, Tensor};

use crate::{
    LayerState, Parts, Running, StateError, file,
    layer::{BIAS, NUM_BATCHES_TRACKED, RUNNING_MEAN, RUNNING_VAR, WEIGHT},
};

/// The tensors and the metadata of a safetensors file, layers of batch normalization among them.
///
/// A layer is named by its prefix, `layer1.0.bn1` for the tensor `layer1.0.bn1.running_mean`. The empty
/// prefix stands for tensors without one, as in the state of a layer that was saved by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    file: File<'static>,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self::new()
    }
}

impl Checkpoint {
    /// A checkpoint without tensors, with the metadata `format` = `pt` by which readers know PyTorch's names.
    pub fn new() -> Self {
        let mut file = File::default();
        file.metadata.insert("format".to_owned(), "pt".to_owned());
        Self { file }
    }

    /// The checkpoint in the file at `path`.
    ///
    /// # Errors
    /// [`StateError`] if the file cannot be read or is no safetensors file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, StateError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| StateError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    /// The checkpoint in `bytes`, the content of a file.
    ///
    /// # Errors
    /// [`StateError::Damaged`] if they are no safetensors file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        Ok(Self { file: File::parse(bytes)?.into_owned() })
    }

    /// The content of a file with this checkpoint: the same bytes in every run.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.file.to_bytes()
    }

    /// Writes the checkpoint to a file. One at `path` is replaced at once: whatever happens, there is
    /// either the old file or the whole new one.
    ///
    /// # Errors
    /// [`StateError::Write`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), StateError> {
        let path = path.as_ref();
        file::replace(path, &self.to_bytes())
            .map_err(|source| StateError::Write { path: path.to_owned(), source })
    }

    /// The prefixes of all layers with running statistics, sorted.
    ///
    /// By its tensors, a layer without running statistics could be any other that has a weight; it is not
    /// listed, but [`layer`](Self::layer) loads it. Instance normalization that tracks running statistics
    /// has the tensors of batch normalization, and is listed.
    pub fn layers(&self) -> Vec<String> {
        let parts = [RUNNING_MEAN, RUNNING_VAR, NUM_BATCHES_TRACKED];
        let prefix = |name: &String| match name.rsplit_once('.') {
            Some((prefix, part)) => parts.contains(&part).then(|| prefix.to_owned()),
            None => parts.contains(&name.as_str()).then(String::new),
        };
        let prefixes: BTreeSet<String> = self.file.tensors.keys().filter_map(prefix).collect();
        prefixes.into_iter().collect()
    }

    /// Which parts the file has of the layer `prefix`, and for how many channels.
    ///
    /// # Errors
    /// [`StateError::NoLayer`] if it has none, [`StateError::Shape`] if the first of them is not a list.
    pub fn parts(&self, prefix: &str) -> Result<Parts, StateError> {
        let per_channel = [WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR];
        let Some((name, tensor)) = per_channel.iter().find_map(|part| self.tensor(prefix, part)) else {
            if self.tensor(prefix, NUM_BATCHES_TRACKED).is_some() {
                let tensor = joined(prefix, RUNNING_MEAN);
                return Err(StateError::Missing { tensor, part: "running statistics" });
            }
            return Err(StateError::NoLayer { prefix: prefix.to_owned(), found: self.layers() });
        };
        let &[channels] = tensor.shape() else {
            let expected = "one size, the number of channels".to_owned();
            return Err(StateError::Shape { tensor: name, actual: tensor.shape().to_vec(), expected });
        };
        let has = |part| self.tensor(prefix, part).is_some();
        let running = has(RUNNING_MEAN) || has(RUNNING_VAR) || has(NUM_BATCHES_TRACKED);
        Ok(Parts { channels, weight: has(WEIGHT), bias: has(BIAS), running })
    }

    /// The state of the layer `prefix`, which must have these parts and no other, as with PyTorch's
    /// `strict=True`; only `num_batches_tracked` may be absent.
    ///
    /// Values stored as F16 or BF16 become f32 exactly, those stored as F64 are rounded.
    ///
    /// # Errors
    /// [`StateError`] if a tensor is missing or not expected, has another shape or element type, or holds
    /// a value that the state cannot.
    pub fn layer(&self, prefix: &str, parts: &Parts) -> Result<LayerState, StateError> {
        let affine = [(WEIGHT, parts.weight, WEIGHT), (BIAS, parts.bias, BIAS)];
        let tracked = [RUNNING_MEAN, RUNNING_VAR, NUM_BATCHES_TRACKED];
        let tracked = tracked.map(|name| (name, parts.running, "running statistics"));
        let named = affine.into_iter().chain(tracked);
        if named.clone().all(|(name, ..)| self.tensor(prefix, name).is_none()) {
            return Err(StateError::NoLayer { prefix: prefix.to_owned(), found: self.layers() });
        }
        for (name, expected, part) in named {
            if let (false, Some((tensor, _))) = (expected, self.tensor(prefix, name)) {
                return Err(StateError::Unexpected { tensor, part });
            }
        }
        let values = |name, part| self.values(prefix, name, parts.channels, part);
        Ok(LayerState {
            weight: parts.weight.then(|| values(WEIGHT, WEIGHT)).transpose()?,
            bias: parts.bias.then(|| values(BIAS, BIAS)).transpose()?,
            running: if parts.running {
                Some(Running {
                    mean: values(RUNNING_MEAN, "running statistics")?,
                    var: values(RUNNING_VAR, "running statistics")?,
                    num_batches_tracked: self.count(prefix)?,
                })
            } else {
                None
            },
        })
    }

    /// Adds the layer `prefix`, or replaces it: what the file had of it and `state` has not is removed.
    /// All other tensors and the metadata stay as they are.
    ///
    /// # Errors
    /// [`StateError`] if the parts of the state do not agree, or it has none; then nothing is changed.
    pub fn set_layer(&mut self, prefix: &str, state: &LayerState) -> Result<(), StateError> {
        let Parts { channels, .. } = state.parts()?;
        let count = state.running.as_ref().and_then(|running| running.num_batches_tracked);
        let count = count
            .map(|actual| i64::try_from(actual).map_err(|_| StateError::CountTooLarge { actual }))
            .transpose()?;
        let tensors = state.values().map(|(part, values)| {
            let length = |_| StateError::Length { part, actual: values.len(), expected: channels };
            Ok((part, Tensor::from_f32(vec![channels], values).map_err(length)?))
        });
        let tensors = tensors.collect::<Result<Vec<_>, StateError>>()?;
        let count = count.map(|count| (NUM_BATCHES_TRACKED, Tensor::from_i64(count)));
        self.remove_layer(prefix);
        let named = tensors.into_iter().chain(count).map(|(part, tensor)| (joined(prefix, part), tensor));
        self.file.tensors.extend(named);
        Ok(())
    }

    /// The checkpoint with the layer `prefix` added or replaced, see [`set_layer`](Self::set_layer).
    ///
    /// # Errors
    /// Those of [`set_layer`](Self::set_layer).
    pub fn with_layer(mut self, prefix: &str, state: &LayerState) -> Result<Self, StateError> {
        self.set_layer(prefix, state)?;
        Ok(self)
    }

    /// Removes what there is of the layer `prefix`.
    pub fn remove_layer(&mut self, prefix: &str) {
        for part in [WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR, NUM_BATCHES_TRACKED] {
            self.file.tensors.remove(&joined(prefix, part));
        }
    }

    /// A tensor of a layer, with its name.
    fn tensor(&self, prefix: &str, part: &str) -> Option<(String, &Tensor<'static>)> {
        let name = joined(prefix, part);
        let tensor = self.file.tensors.get(&name)?;
        Some((name, tensor))
    }

    /// A tensor with a value per channel.
    fn values(
        &self,
        prefix: &str,
        name: &str,
        channels: usize,
        part: &'static str,
    ) -> Result<Vec<f32>, StateError> {
        let missing = || StateError::Missing { tensor: joined(prefix, name), part };
        let (name, tensor) = self.tensor(prefix, name).ok_or_else(missing)?;
        if tensor.shape() != [channels] {
            let (actual, expected) = (tensor.shape().to_vec(), format!("[{channels}]"));
            return Err(StateError::Shape { tensor: name, actual, expected });
        }
        if let Some(values) = tensor.to_f32() {
            return Ok(values);
        }
        let Some(values) = tensor.to_f64() else {
            let expected = "F32, F16, BF16 or F64";
            return Err(StateError::Dtype { tensor: name, actual: tensor.dtype(), expected });
        };
        let too_large = |value: &f64| value.is_finite() && (*value as f32).is_infinite();
        if let Some(index) = values.iter().position(too_large) {
            let actual = values.get(index).copied().unwrap_or(f64::MAX);
            return Err(StateError::TooLarge { tensor: name, actual, index });
        }
        Ok(values.into_iter().map(|value| value as f32).collect())
    }

    fn count(&self, prefix: &str) -> Result<Option<u64>, StateError> {
        let Some((name, tensor)) = self.tensor(prefix, NUM_BATCHES_TRACKED) else { return Ok(None) };
        if !matches!(tensor.shape(), [] | [1]) {
            let (actual, expected) = (tensor.shape().to_vec(), "[] or [1]".to_owned());
            return Err(StateError::Shape { tensor: name, actual, expected });
        }
        match tensor.to_i64().as_deref() {
            Some(&[count]) => match u64::try_from(count) {
                Ok(count) => Ok(Some(count)),
                Err(_) => Err(StateError::NegativeCount { tensor: name, actual: count }),
            },
            _ => Err(StateError::Dtype { tensor: name, actual: tensor.dtype(), expected: "I64" }),
        }
    }
}

/// The name of a tensor of a layer.
fn joined(prefix: &str, part: &str) -> String {
    if prefix.is_empty() { part.to_owned() } else { format!("{prefix}.{part}") }
}
