//! What a row varies: the settings of the layer, and what its passes are given.

use clap::ValueEnum;
use serde::Serialize;
use std::fmt;
use std::num::NonZeroUsize;
use wgpu_batchnorm::{Activation, Dtype, Mode, Options, Order, Source};

/// Of ε, in all rows: that of the library's default options.
pub(crate) const EPS: f64 = 1e-5;

/// Everything besides the shape that distinguishes what is measured.
#[derive(clap::Args, Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Config {
    /// The element type of x, y, dy, dx and the residual.
    #[arg(long, value_enum, value_name = "TYPE", default_value_t)]
    pub(crate) dtype: ElementType,
    /// A fused activation.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub(crate) activation: Function,
    /// Whether the activation comes after the normalization, or before.
    #[arg(long, value_enum, value_name = "ORDER", default_value_t)]
    pub(crate) order: Place,
    /// Add a residual, and give its gradient.
    #[arg(long)]
    pub(crate) residual: bool,
    /// Count only the positions that a mask shows, about three quarters of them.
    #[arg(long)]
    pub(crate) mask: bool,
    /// Ghost batches of so many samples.
    #[arg(long, value_name = "SAMPLES")]
    pub(crate) ghost: Option<NonZeroUsize>,
    /// Whether the running statistics are guarded.
    #[arg(skip)]
    pub(crate) guarded: bool,
    /// Which statistics normalize.
    #[arg(skip)]
    pub(crate) source: Origin,
    /// Whether two replicas in this process, on the same device, share the statistics.
    #[arg(skip)]
    pub(crate) synchronized: bool,
}

/// [`Dtype`] by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ElementType {
    #[default]
    F32,
    F16,
    Bf16,
}

impl ElementType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

/// [`Activation`] by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Function {
    #[default]
    None,
    Relu,
    /// With slope 0.01.
    LeakyRelu,
    Silu,
    Gelu,
    GeluTanh,
    Sigmoid,
    Tanh,
}

/// [`Order`] by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    #[default]
    Post,
    Pre,
}

/// [`Source`] by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    #[default]
    Batch,
    Running,
    Given,
}

impl Config {
    pub(crate) fn dtype(&self) -> Dtype {
        match self.dtype {
            ElementType::F32 => Dtype::F32,
            ElementType::F16 => Dtype::F16,
            ElementType::Bf16 => Dtype::BF16,
        }
    }

    pub(crate) fn activation(&self) -> Activation {
        match self.activation {
            Function::None => Activation::None,
            Function::Relu => Activation::Relu,
            Function::LeakyRelu => Activation::LeakyRelu { negative_slope: 0.01 },
            Function::Silu => Activation::Silu,
            Function::Gelu => Activation::Gelu,
            Function::GeluTanh => Activation::GeluTanh,
            Function::Sigmoid => Activation::Sigmoid,
            Function::Tanh => Activation::Tanh,
        }
    }

    pub(crate) fn order(&self) -> Order {
        match self.order {
            Place::Post => Order::Post,
            Place::Pre => Order::Pre,
        }
    }

    /// Of the forward and backward pass. The running statistics take in the batch, except where the
    /// statistics that normalize are given.
    pub(crate) fn mode(&self) -> Mode {
        match self.source {
            Origin::Batch => Mode::TRAINING,
            Origin::Running => Mode { source: Source::Running, update: true },
            Origin::Given => Mode::GIVEN,
        }
    }

    pub(crate) fn options(&self, channels: usize) -> Options {
        Options {
            eps: EPS,
            guarded: self.guarded,
            dtype: self.dtype(),
            activation: self.activation(),
            order: self.order(),
            ghost_batch: self.ghost.map(NonZeroUsize::get),
            ..Options::new(channels)
        }
    }
}

impl fmt::Display for Config {
    /// What the command line can vary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |value: clap::builder::PossibleValue| value.get_name().to_owned();
        let mut parts = vec![self.dtype.name().to_owned()];
        if self.activation != Function::None {
            let side = if self.order == Place::Pre { " before" } else { "" };
            parts.extend(self.activation.to_possible_value().map(|value| name(value) + side));
        }
        parts.extend(self.residual.then(|| "residual".to_owned()));
        parts.extend(self.mask.then(|| "mask".to_owned()));
        parts.extend(self.ghost.map(|samples| format!("ghost batches of {samples}")));
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn the_command_line_says_what_varies() -> Result<(), clap::Error> {
        assert_eq!(Line::try_parse_from(["bench"])?.config, Config::default());
        let line = "bench --dtype bf16 --activation gelu_tanh --order pre --residual --mask --ghost 3";
        let config = Line::try_parse_from(line.split(' '))?.config;
        assert_eq!(config.to_string(), "bf16, gelu_tanh before, residual, mask, ghost batches of 3");
        let options = config.options(4);
        assert_eq!((options.dtype, options.order), (Dtype::BF16, Order::Pre));
        assert_eq!((options.activation, options.ghost_batch), (Activation::GeluTanh, Some(3)));
        assert_eq!(Config::default().to_string(), "f32");
        for wrong in ["--dtype f64", "--activation swish", "--order after", "--ghost 0"] {
            assert!(Line::try_parse_from(["bench"].into_iter().chain(wrong.split(' '))).is_err(), "{wrong}");
        }
        Ok(())
    }
}
