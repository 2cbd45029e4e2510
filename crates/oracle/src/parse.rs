//! The metadata of a case: strings made into types.

use std::{collections::BTreeMap, str::FromStr};

use crate::{Activation, CaseError, Kind, Layout, Momentum, Order, Stats, Update};

/// The metadata as stored, and who asks: named in errors.
pub(crate) struct Meta<'a> {
    pub(crate) values: &'a BTreeMap<String, String>,
    pub(crate) kind: &'a str,
}

impl Meta<'_> {
    /// The parsed value of `key`; `None` if it is absent.
    pub(crate) fn optional<T>(
        &self,
        key: &str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, CaseError> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        let error = || CaseError::Metadata { key: key.to_owned(), actual: value.clone(), expected };
        parse(value.trim()).ok_or_else(error).map(Some)
    }

    /// The parsed value of `key`.
    pub(crate) fn required<T>(
        &self,
        key: &str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, CaseError> {
        self.optional(key, expected, parse)?.ok_or_else(|| CaseError::MissingMetadata {
            key: key.to_owned(),
            needed_by: format!("kind `{}`", self.kind),
        })
    }

    pub(crate) fn kind(&self) -> Result<Kind, CaseError> {
        Ok(match self.kind {
            "step" => Kind::Step,
            "sync" => {
                Kind::Sync { replicas: self.required("replicas", "sample counts such as 3,0,5", parse_list)? }
            }
            "population" => Kind::Population {
                batches: self.required("batches", "a count of at least 1", parse_positive)?,
            },
            "moments" => Kind::Moments { axes: self.required("axes", "axes such as 0,2,3", parse_list)? },
            "double_backward" => Kind::DoubleBackward,
            "masked" => Kind::Masked,
            "ghost" => {
                Kind::Ghost { group: self.required("group", "a count of at least 1", parse_positive)? }
            }
            other => Kind::Unknown(other.to_owned()),
        })
    }

    /// What updates the running statistics; by default the batch does if it normalizes itself.
    ///
    /// The names of the two rules only repeat what `momentum` says, so they must not contradict it.
    pub(crate) fn update(&self, stats: Stats, momentum: Momentum) -> Result<Update, CaseError> {
        let (expected, rule) = match momentum {
            Momentum::Average(_) => ("none, moving_average or guarded with this momentum", "moving_average"),
            Momentum::Cumulative => ("none, cumulative or guarded with this momentum", "cumulative"),
        };
        let update = self.optional("update", expected, |text| match text {
            "none" => Some(Update::None),
            "guarded" => Some(Update::Guarded),
            text => (text == rule).then_some(Update::Batch),
        })?;
        Ok(update.unwrap_or(if stats == Stats::Batch { Update::Batch } else { Update::None }))
    }

    pub(crate) fn activation(&self, name: &str) -> Result<Activation, CaseError> {
        Ok(match name {
            "none" => Activation::None,
            "relu" => Activation::Relu,
            "leaky_relu" => Activation::LeakyRelu {
                negative_slope: self.required("negative_slope", "a finite number", parse_finite)?,
            },
            "silu" => Activation::Silu,
            "gelu" => Activation::Gelu,
            "gelu_tanh" => Activation::GeluTanh,
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            other => Activation::Unknown(other.to_owned()),
        })
    }
}

pub(crate) fn parse_finite(text: &str) -> Option<f64> {
    f64::from_str(text).ok().filter(|value| value.is_finite())
}

pub(crate) fn parse_not_negative(text: &str) -> Option<f64> {
    parse_finite(text).filter(|&value| value >= 0.0)
}

fn parse_positive(text: &str) -> Option<usize> {
    usize::from_str(text).ok().filter(|&value| value > 0)
}

fn parse_list(text: &str) -> Option<Vec<usize>> {
    text.split(',').map(|item| usize::from_str(item.trim()).ok()).collect()
}

pub(crate) fn parse_layout(text: &str) -> Option<Layout> {
    match text {
        "channels_first" => Some(Layout::ChannelsFirst),
        "channels_last" => Some(Layout::ChannelsLast),
        _ => None,
    }
}

pub(crate) fn parse_momentum(text: &str) -> Option<Momentum> {
    if text == "cumulative" { Some(Momentum::Cumulative) } else { parse_finite(text).map(Momentum::Average) }
}

pub(crate) fn parse_order(text: &str) -> Option<Order> {
    match text {
        "post" => Some(Order::Post),
        "pre" => Some(Order::Pre),
        _ => None,
    }
}

pub(crate) fn parse_stats(text: &str) -> Option<Stats> {
    match text {
        "batch" => Some(Stats::Batch),
        "running" => Some(Stats::Running),
        "given" => Some(Stats::Given),
        _ => None,
    }
}
