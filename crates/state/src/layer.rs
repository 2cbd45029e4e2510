//! The state of one layer.

use crate::StateError;

/// The state of a batch normalization layer: what it has of it, each with one value per channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerState {
    /// The scale γ.
    pub weight: Option<Vec<f32>>,
    /// The offset β.
    pub bias: Option<Vec<f32>>,
    /// The running statistics.
    pub running: Option<Running>,
}

/// Running statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Unbiased variance of each channel.
    pub var: Vec<f32>,
    /// Batches that have entered; none in checkpoints from before PyTorch 0.4.1, which did not count.
    pub num_batches_tracked: Option<u64>,
}

/// Which parts a layer has, and for how many channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// C, the number of channels.
    pub channels: usize,
    /// Whether there is a scale γ.
    pub weight: bool,
    /// Whether there is an offset β.
    pub bias: bool,
    /// Whether there are running statistics. Whether their batches are counted is left open.
    pub running: bool,
}

impl Running {
    /// The start: mean 0, variance 1, no batches.
    pub fn start(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], var: vec![1.0; channels], num_batches_tracked: Some(0) }
    }
}

impl Parts {
    /// Scale, offset and running statistics, PyTorch's defaults.
    pub fn new(channels: usize) -> Self {
        Self { channels, weight: true, bias: true, running: true }
    }
}

impl LayerState {
    /// What the state has, if its parts agree on the number of channels.
    ///
    /// # Errors
    /// [`StateError::Empty`] if it has nothing, [`StateError::Length`] if a part has more or fewer values
    /// than those before it.
    pub fn parts(&self) -> Result<Parts, StateError> {
        let values: Vec<_> = self.values().collect();
        let Some((_, first)) = values.first() else {
            return Err(StateError::Empty);
        };
        let channels = first.len();
        if let Some((name, values)) = values.iter().find(|(_, values)| values.len() != channels) {
            return Err(StateError::Length { part: name, actual: values.len(), expected: channels });
        }
        let (weight, bias, running) = (self.weight.is_some(), self.bias.is_some(), self.running.is_some());
        Ok(Parts { channels, weight, bias, running })
    }

    /// The parts with a value per channel, under PyTorch's names.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        let running = self.running.as_ref();
        [
            (WEIGHT, self.weight.as_ref()),
            (BIAS, self.bias.as_ref()),
            (RUNNING_MEAN, running.map(|running| &running.mean)),
            (RUNNING_VAR, running.map(|running| &running.var)),
        ]
        .into_iter()
        .filter_map(|(name, values)| Some((name, values?.as_slice())))
    }
}

pub(crate) const WEIGHT: &str = "weight";
pub(crate) const BIAS: &str = "bias";
pub(crate) const RUNNING_MEAN: &str = "running_mean";
pub(crate) const RUNNING_VAR: &str = "running_var";
pub(crate) const NUM_BATCHES_TRACKED: &str = "num_batches_tracked";
