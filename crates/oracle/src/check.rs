//! Whether the tensors of a case fit together.

use std::collections::BTreeMap;

use crate::{
    Case, CaseError, Dtype, Expected, Kind, Layout, Stats, Tensor, Update,
    parse::{Meta, parse_not_negative},
    tensor::{File, Raw},
};

/// Outputs with the shape of `x`; all others have one value per channel.
const FULL_SIZE_OUTPUTS: [&str; 5] = ["y", "dx", "dresidual", "grad_dy", "grad_x"];

/// The sizes that follow from `x`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Geometry {
    /// The shape of `x`.
    full: Vec<usize>,
    /// The shape of a tensor with one value per channel.
    per_channel: Vec<usize>,
    /// How many neighbours of a full-size tensor belong to the same channel.
    run: usize,
}

impl Geometry {
    pub(crate) fn of(case: &Case) -> Result<Self, CaseError> {
        let name = if matches!(case.kind, Kind::Population { .. }) { "x.0" } else { "x" };
        let full = required(case, name)?.shape.clone();
        let refuse = |expected: &str| CaseError::Shape {
            tensor: name.to_owned(),
            actual: full.clone(),
            expected: expected.to_owned(),
        };
        if let Kind::Moments { axes } = &case.kind {
            let twice = || axes.iter().enumerate().any(|(i, axis)| axes[..i].contains(axis));
            if axes.len() > full.len() || twice() || axes.iter().any(|&axis| axis >= full.len()) {
                return Err(refuse(&format!("one with the axes {axes:?}, each once")));
            }
            let remain = full.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
            let per_channel: Vec<usize> = remain.map(|(_, &size)| size).collect();
            return Ok(Self { full, per_channel, run: 1 });
        }
        let (channels, run) = match (case.layout, full.as_slice()) {
            (Layout::ChannelsFirst, [_, channels, spatial @ ..]) => (*channels, product(spatial)),
            (Layout::ChannelsLast, [_, .., channels]) => (*channels, 1),
            _ => return Err(refuse("at least two axes, N and C")),
        };
        Ok(Self { full, per_channel: vec![channels], run })
    }

    pub(crate) fn output_shape(&self, name: &str) -> &[usize] {
        if FULL_SIZE_OUTPUTS.contains(&name) { &self.full } else { &self.per_channel }
    }

    /// Whether the inputs the kind needs are there, and all the format names have their shape and type.
    pub(crate) fn check_inputs(&self, case: &Case) -> Result<(), CaseError> {
        let needed: &[&str] = match &case.kind {
            Kind::Step | Kind::Sync { .. } | Kind::Ghost { .. } => &["dy"],
            Kind::Masked => &["dy", "mask"],
            Kind::DoubleBackward => &["dy", "ddx"],
            Kind::Population { .. } | Kind::Moments { .. } | Kind::Unknown(_) => &[],
        };
        for name in needed {
            required(case, name)?;
        }
        for (mean, var, stats) in
            [("running_mean", "running_var", Stats::Running), ("given_mean", "given_var", Stats::Given)]
        {
            let has_one = case.input(mean).is_some() || case.input(var).is_some();
            if has_one || case.stats == stats {
                required(case, mean)?;
                required(case, var)?;
            }
        }
        // Only a batch that normalizes itself has nothing to update where nothing is tracked.
        let updates_held = case.update != Update::None && case.stats != Stats::Batch;
        if updates_held || case.update == Update::Guarded {
            required(case, "running_mean")?;
        }
        for name in ["x", "dy", "residual", "ddx"] {
            self.check_input(case, name, &self.full, &case.dtype)?;
        }
        for name in
            ["weight", "bias", "running_mean", "running_var", "given_mean", "given_var", "ddweight", "ddbias"]
        {
            self.check_input(case, name, &self.per_channel, &Dtype::F32)?;
        }
        self.check_kind(case)
    }

    /// What only one kind has.
    fn check_kind(&self, case: &Case) -> Result<(), CaseError> {
        match &case.kind {
            Kind::Masked => {
                let (samples, spatial) = match (case.layout, self.full.as_slice()) {
                    (Layout::ChannelsFirst, [samples, _, spatial @ ..]) => (*samples, spatial),
                    (Layout::ChannelsLast, [samples, spatial @ .., _]) => (*samples, spatial),
                    _ => return Ok(()),
                };
                let positions = [&[samples], spatial].concat();
                self.check_input(case, "mask", &positions, &Dtype::F32)
            }
            Kind::Sync { replicas } => {
                let samples = self.full.first().copied().unwrap_or(0);
                let sum = replicas.iter().try_fold(0usize, |sum, &count| sum.checked_add(count));
                if sum == Some(samples) {
                    return Ok(());
                }
                let expected = format!("as many samples as the replicas {replicas:?} have in all");
                Err(CaseError::Shape { tensor: "x".to_owned(), actual: self.full.clone(), expected })
            }
            Kind::Population { batches } => {
                for index in 0..*batches {
                    let name = format!("x.{index}");
                    // The batches may differ in size, but not in what a channel is.
                    let shape = &required(case, &name)?.shape;
                    let channel_axis = match case.layout {
                        Layout::ChannelsFirst => 1,
                        Layout::ChannelsLast => shape.len().saturating_sub(1),
                    };
                    if shape.len() != self.full.len()
                        || shape.get(channel_axis) != self.full.get(channel_axis)
                    {
                        let expected = format!("the rank and channels of `x.0`, {:?}", self.full);
                        return Err(CaseError::Shape { tensor: name, actual: shape.clone(), expected });
                    }
                    self.check_input(case, &name, &shape.clone(), &case.dtype)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An absent tensor is right: presence is checked apart.
    fn check_input(&self, case: &Case, name: &str, shape: &[usize], dtype: &Dtype) -> Result<(), CaseError> {
        let Some(tensor) = case.input(name) else { return Ok(()) };
        if tensor.shape != shape {
            return Err(CaseError::Shape {
                tensor: name.to_owned(),
                actual: tensor.shape.clone(),
                expected: format!("{shape:?}"),
            });
        }
        // A case of an unknown element type is skipped anyway, so what it stores how is its own affair.
        if tensor.dtype != *dtype && !matches!(case.dtype, Dtype::Unknown(_)) {
            return Err(CaseError::Dtype {
                tensor: name.to_owned(),
                actual: tensor.dtype.clone(),
                expected: dtype.to_string(),
            });
        }
        Ok(())
    }

    /// The expected outputs with their bounds.
    pub(crate) fn expected(
        &self,
        case: &Case,
        file: &File<'_>,
        meta: &Meta<'_>,
    ) -> Result<BTreeMap<String, Expected>, CaseError> {
        file.expected()
            .map(|(name, raw)| Ok((name.to_owned(), self.expected_output(case, name, raw, file, meta)?)))
            .collect()
    }

    fn expected_output(
        &self,
        case: &Case,
        name: &str,
        raw: &Raw<'_>,
        file: &File<'_>,
        meta: &Meta<'_>,
    ) -> Result<Expected, CaseError> {
        let wrong_dtype = |tensor: String, raw: &Raw<'_>, expected: &str| CaseError::Dtype {
            tensor,
            actual: raw.dtype(),
            expected: expected.to_owned(),
        };
        let is_full = FULL_SIZE_OUTPUTS.contains(&name);
        // `moments` may keep several axes, which a file may also store as one.
        let channels = product(&self.per_channel);
        let is_flat = matches!(case.kind, Kind::Moments { .. }) && raw.shape() == [channels];
        if raw.shape() != self.output_shape(name) && !is_flat {
            return Err(CaseError::Shape {
                tensor: format!("expect.{name}"),
                actual: raw.shape().to_vec(),
                expected: format!("{:?}", self.output_shape(name)),
            });
        }
        let values = raw.to_f64().ok_or_else(|| wrong_dtype(format!("expect.{name}"), raw, "f64 or f32"))?;
        let bound = format!("atol.{name}");
        let raw_atol = file.get(&bound).ok_or_else(|| CaseError::MissingTensor {
            tensor: bound.clone(),
            needed_by: format!("`expect.{name}`"),
        })?;
        let atol = raw_atol.to_f32().ok_or_else(|| wrong_dtype(bound.clone(), raw_atol, "f32"))?;
        if raw_atol.shape() != [1] && raw_atol.shape() != [channels] {
            let expected = format!("[{channels}], one per channel, or [1]");
            return Err(CaseError::Shape { tensor: bound, actual: raw_atol.shape().to_vec(), expected });
        }
        if let Some(index) = atol.iter().position(|&bound| bound.is_nan() || bound < 0.0) {
            let actual = atol.get(index).copied().unwrap_or(f32::NAN);
            return Err(CaseError::Bound { tensor: bound, actual, index });
        }
        let torch_f32_error =
            meta.optional(&format!("torch_f32_err.{name}"), "a number", |text| text.parse().ok())?;
        Ok(Expected {
            shape: raw.shape().to_vec(),
            values,
            atol,
            rtol: meta.required(
                &format!("rtol.{name}"),
                "a finite number of at least 0",
                parse_not_negative,
            )?,
            torch_f32_error: torch_f32_error.filter(|error: &f64| !error.is_nan()),
            run: if is_full { self.run } else { 1 },
        })
    }
}

/// Saturating: beside a size of 0 the others may be anything.
fn product(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product, &size| product.saturating_mul(size))
}

fn required<'a>(case: &'a Case, name: &str) -> Result<&'a Tensor, CaseError> {
    case.input(name).ok_or_else(|| CaseError::MissingTensor {
        tensor: name.to_owned(),
        needed_by: format!("kind `{}` with these statistics", case.kind),
    })
}
