//! What can be changed while the networks train.

use serde::Deserialize;
use std::ops::RangeInclusive;
use thiserror::Error;
use wgpu_batchnorm::Order;

/// The activation of the hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, v)
    Relu,
    /// v·sigmoid(v)
    Silu,
    /// 1/(1 + exp(−v))
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// All of them, in the order of their numbers in `activation.wgsl`.
    pub const ALL: [Self; 4] = [Self::Relu, Self::Silu, Self::Sigmoid, Self::Tanh];

    /// The same in the library.
    pub(super) fn fused(self) -> wgpu_batchnorm::Activation {
        use wgpu_batchnorm::Activation;
        match self {
            Self::Relu => Activation::Relu,
            Self::Silu => Activation::Silu,
            Self::Sigmoid => Activation::Sigmoid,
            Self::Tanh => Activation::Tanh,
        }
    }
}

/// Whether the hidden layers normalize before their activation or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// y = f(BN(z))
    NormalizationFirst,
    /// y = BN(f(z))
    ActivationFirst,
}

impl Arrangement {
    pub(super) fn order(self) -> Order {
        match self {
            Self::NormalizationFirst => Order::Post,
            Self::ActivationFirst => Order::Pre,
        }
    }
}

/// What both networks have in common.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Hidden layers. Another number begins anew.
    pub depth: usize,
    /// Images of a step.
    pub batch_size: usize,
    /// By which gradients are multiplied.
    pub learning_rate: f32,
    /// Of the hidden layers.
    pub activation: Activation,
    /// Of the network with batch normalization.
    pub arrangement: Arrangement,
}

/// Why settings are refused.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SettingsError {
    /// Too few or too many layers.
    #[error("depth is {actual} hidden layers, expected {} to {}", Settings::DEPTHS.start(), Settings::DEPTHS.end())]
    Depth {
        /// As given.
        actual: usize,
    },
    /// Too few or too many images.
    #[error(
        "batch_size is {actual}, expected {} to {}: statistics of a batch need two or more",
        Settings::BATCH_SIZES.start(),
        Settings::BATCH_SIZES.end()
    )]
    BatchSize {
        /// As given.
        actual: usize,
    },
    /// The learning rate makes no sense.
    #[error(
        "the learning rate is {actual}, expected a number above 0 and up to {}",
        Settings::MAX_LEARNING_RATE
    )]
    LearningRate {
        /// As given.
        actual: f32,
    },
}

impl Settings {
    /// Hidden layers that there may be.
    pub const DEPTHS: RangeInclusive<usize> = 1..=12;
    /// Images that a step may have.
    pub const BATCH_SIZES: RangeInclusive<usize> = 2..=256;
    /// The largest learning rate.
    pub const MAX_LEARNING_RATE: f32 = 10.0;

    /// Whether all are in their ranges.
    ///
    /// # Errors
    /// [`SettingsError`] for the first that is not.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if !Self::DEPTHS.contains(&self.depth) {
            return Err(SettingsError::Depth { actual: self.depth });
        }
        if !Self::BATCH_SIZES.contains(&self.batch_size) {
            return Err(SettingsError::BatchSize { actual: self.batch_size });
        }
        // Not NaN either.
        if !(self.learning_rate > 0.0 && self.learning_rate <= Self::MAX_LEARNING_RATE) {
            return Err(SettingsError::LearningRate { actual: self.learning_rate });
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            depth: 6,
            batch_size: 32,
            learning_rate: 0.1,
            activation: Activation::Relu,
            arrangement: Arrangement::NormalizationFirst,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_checked() -> Result<(), serde_json::Error> {
        let text = r#"{"depth": 3, "batch_size": 32, "learning_rate": 0.05, "activation": "tanh",
                       "arrangement": "activation_first"}"#;
        let settings: Settings = serde_json::from_str(text)?;
        assert_eq!(settings.activation, Activation::Tanh);
        assert_eq!(settings.validate(), Ok(()));
        assert_eq!(Settings::default().validate(), Ok(()));
        assert!(serde_json::from_str::<Settings>(r#"{"depth": 3}"#).is_err());
        Ok(())
    }

    #[test]
    fn what_cannot_be_trained_is_refused() {
        let good = Settings::default();
        let refused = [
            (Settings { depth: 0, ..good }, "depth is 0"),
            (Settings { batch_size: 1, ..good }, "batch_size is 1"),
            (Settings { learning_rate: f32::NAN, ..good }, "the learning rate is NaN"),
            (Settings { learning_rate: 0.0, ..good }, "the learning rate is 0"),
        ];
        for (settings, start) in refused {
            let error = settings.validate().map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|error| error.starts_with(start)), "{error:?}");
        }
    }
}
