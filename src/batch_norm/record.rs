//! Bound passes, and recording them into the caller's encoder or pass.

use super::BatchNormError;
use crate::context::Context;
use crate::kernels::Step;
use crate::plan::Plan;
use crate::program::Bindings;
use crate::state::{Origin, SavedStatistics};

/// Where to record: an encoder, in which a compute pass is begun and ended, or a compute pass.
pub enum Recorder<'a, 'e> {
    /// A pass of its own is begun in this encoder, labelled `batch_norm`.
    Encoder(&'a mut wgpu::CommandEncoder),
    /// The dispatches go into this pass.
    Pass(&'a mut wgpu::ComputePass<'e>),
}

impl<'a> From<&'a mut wgpu::CommandEncoder> for Recorder<'a, '_> {
    fn from(encoder: &'a mut wgpu::CommandEncoder) -> Self {
        Self::Encoder(encoder)
    }
}

impl<'a, 'e> From<&'a mut wgpu::ComputePass<'e>> for Recorder<'a, 'e> {
    fn from(pass: &'a mut wgpu::ComputePass<'e>) -> Self {
        Self::Pass(pass)
    }
}

impl Recorder<'_, '_> {
    fn record(self, bindings: &Bindings, wanted: impl Fn(Step) -> bool) {
        match self {
            Self::Encoder(encoder) => {
                let label = Some("batch_norm");
                let descriptor = wgpu::ComputePassDescriptor { label, timestamp_writes: None };
                bindings.record(&mut encoder.begin_compute_pass(&descriptor), wanted);
            }
            Self::Pass(pass) => bindings.record(pass, wanted),
        }
    }
}

/// A forward pass bound to its tensors; it can be recorded any number of times.
pub struct Forward {
    pub(super) context: Context,
    pub(super) bindings: Bindings,
    pub(super) saved: SavedStatistics,
    pub(super) origin: Origin,
}

impl Forward {
    /// Records the pass into an encoder or a compute pass. From then on the saved statistics count as this
    /// pass's, also if the encoder is dropped instead of submitted.
    ///
    /// # Errors
    /// [`DeviceError::Lost`](crate::DeviceError::Lost) if the device is known to be lost.
    pub fn record<'a, 'e: 'a>(&self, recorder: impl Into<Recorder<'a, 'e>>) -> Result<(), BatchNormError> {
        self.context.check_alive()?;
        recorder.into().record(&self.bindings, |_| true);
        self.saved.set_origin(self.origin);
        Ok(())
    }

    /// Records the dispatches of one step only, to time it. The steps before it must have run, and
    /// nothing else of this context since: they leave what they computed in the workspace.
    ///
    /// # Errors
    /// As [`Forward::record`].
    pub fn record_step<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        step: Step,
    ) -> Result<(), BatchNormError> {
        self.context.check_alive()?;
        recorder.into().record(&self.bindings, |each| each == step);
        Ok(())
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        self.bindings.plan()
    }
}

/// A backward pass bound to its tensors; it can be recorded any number of times.
pub struct Backward {
    pub(super) context: Context,
    pub(super) bindings: Bindings,
    pub(super) saved: SavedStatistics,
    pub(super) expected: Origin,
}

impl Backward {
    /// Records the pass into an encoder or a compute pass.
    ///
    /// # Errors
    /// [`BatchNormError::NoForward`] or [`BatchNormError::OtherForward`] if the saved statistics are not
    /// those of a recorded forward pass of this shape and mode; [`DeviceError::Lost`](crate::DeviceError::Lost) if the device is
    /// known to be lost.
    pub fn record<'a, 'e: 'a>(&self, recorder: impl Into<Recorder<'a, 'e>>) -> Result<(), BatchNormError> {
        self.check()?;
        recorder.into().record(&self.bindings, |_| true);
        Ok(())
    }

    /// Records the dispatches of one step only, to time it. The steps before it must have run, and
    /// nothing else of this context since: they leave what they computed in the workspace.
    ///
    /// # Errors
    /// As [`Backward::record`].
    pub fn record_step<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        step: Step,
    ) -> Result<(), BatchNormError> {
        self.check()?;
        recorder.into().record(&self.bindings, |each| each == step);
        Ok(())
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        self.bindings.plan()
    }

    fn check(&self) -> Result<(), BatchNormError> {
        self.context.check_alive()?;
        let Origin { shape: expected, mode: expected_mode } = self.expected;
        match self.saved.origin() {
            None => Err(BatchNormError::NoForward { expected }),
            Some(origin) if origin != self.expected => Err(BatchNormError::OtherForward {
                actual: origin.shape,
                actual_mode: origin.mode,
                expected,
                expected_mode,
            }),
            Some(_) => Ok(()),
        }
    }
}
