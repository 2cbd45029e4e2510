//! The state of a checkpoint as the values of a layer on a device, and back.

use crate::{LayerState, Running, StateError};
use wgpu_batchnorm::{LayerValues, RunningValues};

/// Without a count, as in checkpoints from before PyTorch 0.4.1, no batches have entered.
impl TryFrom<LayerState> for LayerValues {
    type Error = StateError;

    fn try_from(state: LayerState) -> Result<Self, StateError> {
        let running = |Running { mean, var, num_batches_tracked }: Running| {
            let actual = num_batches_tracked.unwrap_or(0);
            let batches = u32::try_from(actual).map_err(|_| StateError::TooManyBatches { actual })?;
            Ok::<_, StateError>(RunningValues::new(mean, var, batches))
        };
        let running = state.running.map(running).transpose()?;
        Ok(Self { weight: state.weight, bias: state.bias, running })
    }
}

/// How many batches were skipped has no name in PyTorch, and is not kept.
impl From<LayerValues> for LayerState {
    fn from(values: LayerValues) -> Self {
        let running = |RunningValues { mean, var, num_batches_tracked, .. }: RunningValues| {
            let num_batches_tracked = Some(num_batches_tracked.into());
            Running { mean, var, num_batches_tracked }
        };
        Self { weight: values.weight, bias: values.bias, running: values.running.map(running) }
    }
}
