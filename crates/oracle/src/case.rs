//! A case: its inputs, what is expected and everything the metadata says.

use std::{collections::BTreeMap, path::Path, str::FromStr};

use crate::{
    Activation, CaseError, Dtype, Expected, Kind, Layout, Momentum, Order, Stats, Tensor, Update,
    check::Geometry,
    parse::{Meta, parse_layout, parse_momentum, parse_not_negative, parse_order, parse_stats},
    tensor::File,
};

/// One case, read and checked: shapes agree, and all that its kind needs is there.
///
/// Metadata that the kind has no use for may be absent; the field then has the value named below.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Case {
    /// The file's name without its extension.
    pub name: String,
    /// What it computes.
    pub kind: Kind,
    /// Where the channel axis lies; channels first if absent.
    pub layout: Layout,
    /// The element type of `x` and of all tensors of its shape, `y` and `dx` too.
    pub dtype: Dtype,
    /// ε, added to the variance: finite and at least 0; 1e-5 if absent.
    pub epsilon: f64,
    /// How the running statistics move; 0.1 if absent.
    pub momentum: Momentum,
    /// How many batches the running statistics had seen before; 0 if absent.
    pub num_batches_tracked: u64,
    /// The activation; none if absent.
    pub activation: Activation,
    /// Where the activation stands; after the normalization if absent.
    pub order: Order,
    /// Which statistics normalize; those of the batch if absent.
    pub stats: Stats,
    /// What becomes of the running statistics; they are updated with the statistics of the batch if these
    /// normalize, if absent.
    pub update: Update,
    /// The input tensors by name, also those this version has no use for.
    pub inputs: BTreeMap<String, Tensor>,
    /// The expected outputs by name, without the prefix `expect.`. Empty if the kind is unknown.
    pub expected: BTreeMap<String, Expected>,
    /// The number of batches expected after the step.
    pub expected_num_batches_tracked: Option<u64>,
    /// The number of batches that [`Update::Guarded`] is expected to have kept out.
    pub expected_num_batches_skipped: Option<u64>,
    /// The shape of `x` and the sizes of its channels; none if the kind is unknown.
    geometry: Option<Geometry>,
}

impl Case {
    /// The case in the file at `path`, named after it.
    ///
    /// # Errors
    /// [`CaseError`] if the file cannot be read or is no case.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CaseError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| CaseError::Read { path: path.to_owned(), source })?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        Self::from_bytes(&name, &bytes)
    }

    /// The case in `bytes`, the content of a file.
    ///
    /// A kind, activation or element type this version does not know is no error: see
    /// [`unsupported`](Self::unsupported).
    ///
    /// # Errors
    /// [`CaseError`] if the bytes are no safetensors file, if tensors or metadata that the kind needs
    /// are missing or not understood, or if shapes, element types or bounds make no sense.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, CaseError> {
        let file = File::parse(bytes)?;
        let kind = file.metadata.get("kind").ok_or_else(|| CaseError::MissingMetadata {
            key: "kind".to_owned(),
            needed_by: "every case".to_owned(),
        })?;
        let meta = Meta { values: &file.metadata, kind: kind.trim() };
        let mut case = Self::from_metadata(name, &meta)?;
        case.inputs = file.inputs();
        if !matches!(case.kind, Kind::Unknown(_)) {
            let geometry = Geometry::of(&case)?;
            geometry.check_inputs(&case)?;
            case.expected = geometry.expected(&case, &file, &meta)?;
            case.geometry = Some(geometry);
        }
        Ok(case)
    }

    /// The case without its tensors.
    fn from_metadata(name: &str, meta: &Meta<'_>) -> Result<Self, CaseError> {
        let kind = meta.kind()?;
        // What the other values mean is up to the kind.
        let none = BTreeMap::new();
        let values = if matches!(kind, Kind::Unknown(_)) { &none } else { meta.values };
        let meta = &Meta { values, kind: meta.kind };
        let missing = |key: &str| CaseError::MissingMetadata {
            key: key.to_owned(),
            needed_by: format!("kind `{}`", meta.kind),
        };
        // What FORMAT.md lists for all kinds, less what a kind computes without.
        let is_step = matches!(kind, Kind::Step | Kind::Sync { .. });
        let is_known = !matches!(kind, Kind::Unknown(_));
        let has_layout = is_known && !matches!(kind, Kind::Moments { .. });
        let has_epsilon = has_layout && !matches!(kind, Kind::Population { .. });
        let has_momentum = is_step || matches!(kind, Kind::Population { .. } | Kind::Ghost { .. });
        for (needed, key) in [
            (is_known, "dtype"),
            (has_layout, "layout"),
            (has_epsilon, "eps"),
            (has_momentum, "momentum"),
            (is_step, "num_batches_tracked"),
            (is_step, "activation"),
            (is_step, "order"),
            (is_step, "stats"),
        ] {
            if needed && !meta.values.contains_key(key) {
                return Err(missing(key));
            }
        }
        let activation = meta.values.get("activation").map_or("none", |name| name.trim());
        let count = |text: &str| u64::from_str(text).ok();
        let momentum = meta
            .optional("momentum", "a finite number or cumulative", parse_momentum)?
            .unwrap_or(Momentum::Average(0.1));
        let stats = meta.optional("stats", "batch, running or given", parse_stats)?.unwrap_or(Stats::Batch);
        Ok(Self {
            name: name.to_owned(),
            dtype: Dtype::from_name(meta.values.get("dtype").map_or("", |name| name.trim())),
            layout: meta
                .optional("layout", "channels_first or channels_last", parse_layout)?
                .unwrap_or_default(),
            epsilon: meta
                .optional("eps", "a finite number of at least 0", parse_not_negative)?
                .unwrap_or(1e-5),
            momentum,
            num_batches_tracked: meta.optional("num_batches_tracked", "a count", count)?.unwrap_or(0),
            activation: meta.activation(activation)?,
            order: meta.optional("order", "post or pre", parse_order)?.unwrap_or(Order::Post),
            stats,
            update: meta.update(stats, momentum)?,
            inputs: BTreeMap::new(),
            expected: BTreeMap::new(),
            expected_num_batches_tracked: meta.optional("expect.num_batches_tracked", "a count", count)?,
            expected_num_batches_skipped: meta.optional("expect.num_batches_skipped", "a count", count)?,
            geometry: None,
            kind,
        })
    }

    /// Why this version cannot compute the case, if it does not know its kind, activation or element type.
    pub fn unsupported(&self) -> Option<String> {
        if let Kind::Unknown(name) = &self.kind {
            return Some(format!("kind `{name}` is not implemented"));
        }
        if let Dtype::Unknown(name) = &self.dtype {
            return Some(format!("dtype `{name}` is not implemented"));
        }
        if let Activation::Unknown(name) = &self.activation {
            return Some(format!("activation `{name}` is not implemented"));
        }
        None
    }

    /// Whether the file holds expected tensors. Without, there is nothing to [`judge`](crate::judge).
    pub fn is_judged(&self) -> bool {
        !self.expected.is_empty()
    }

    /// The input tensor `name`, if the file has it.
    pub fn input(&self, name: &str) -> Option<&Tensor> {
        self.inputs.get(name)
    }

    /// The values of the input tensor `name`, if the file has it.
    pub fn values(&self, name: &str) -> Option<&[f32]> {
        self.input(name).map(|tensor| tensor.values.as_slice())
    }

    /// The shape of the output `name`: as expected, or else the shape of `x` for outputs of its size
    /// (`y`, `dx`, `dresidual`, `grad_dy`, `grad_x`) and `[C]` for all others. The outputs of
    /// [`Kind::Moments`] have the sizes of the axes that remain. Empty if the kind is unknown.
    pub fn output_shape(&self, name: &str) -> Vec<usize> {
        let derived = || self.geometry.as_ref().map(|geometry| geometry.output_shape(name).to_vec());
        let expected = self.expected.get(name).map(|expected| expected.shape.clone());
        expected.or_else(derived).unwrap_or_default()
    }
}
