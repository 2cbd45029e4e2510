//! Bound passes, and recording them into the caller's encoder or pass.

use super::{BatchNorm, BatchNormError};
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

/// An operation bound to its tensors; it can be recorded any number of times.
pub struct BoundOperation {
    context: Context,
    bindings: Bindings,
    saved: Option<Saved>,
}

/// What an operation has to do with saved statistics.
struct Saved {
    statistics: SavedStatistics,
    origin: Origin,
    /// Whether it leaves them, or needs those that another one has left.
    leaves: bool,
}

impl BoundOperation {
    /// One that leaves saved statistics.
    pub(crate) fn leaving(
        batch_norm: &BatchNorm,
        bindings: Bindings,
        saved: &SavedStatistics,
        origin: Origin,
    ) -> Self {
        Self::with(batch_norm, bindings, Some(Saved { statistics: saved.clone(), origin, leaves: true }))
    }

    /// One that needs saved statistics.
    pub(crate) fn needing(
        batch_norm: &BatchNorm,
        bindings: Bindings,
        saved: &SavedStatistics,
        origin: Origin,
    ) -> Self {
        Self::with(batch_norm, bindings, Some(Saved { statistics: saved.clone(), origin, leaves: false }))
    }

    /// One that has nothing to do with saved statistics.
    pub(crate) fn free(batch_norm: &BatchNorm, bindings: Bindings) -> Self {
        Self::with(batch_norm, bindings, None)
    }

    fn with(batch_norm: &BatchNorm, bindings: Bindings, saved: Option<Saved>) -> Self {
        Self { context: batch_norm.context().clone(), bindings, saved }
    }

    /// Records the operation into an encoder or a compute pass. From then on the statistics that a forward pass
    /// saves count as its own, also if the encoder is dropped instead of submitted.
    ///
    /// # Errors
    /// [`BatchNormError::NoForward`] or [`BatchNormError::OtherForward`] if the operation needs saved statistics,
    /// and they are not those of a recorded forward pass of this shape, source and mask;
    /// [`DeviceError::Lost`](crate::DeviceError::Lost) if the device is known to be lost.
    pub fn record<'a, 'e: 'a>(&self, recorder: impl Into<Recorder<'a, 'e>>) -> Result<(), BatchNormError> {
        self.record_steps(recorder.into(), |_| true)?;
        if let Some(Saved { statistics, origin, leaves: true }) = &self.saved {
            statistics.set_origin(*origin);
        }
        Ok(())
    }

    /// Records the dispatches of one step only, to time it. The steps before it must have run, and
    /// nothing else of this context since: they leave what they computed in the workspace.
    ///
    /// # Errors
    /// As [`BoundOperation::record`].
    pub fn record_step<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        step: Step,
    ) -> Result<(), BatchNormError> {
        self.record_steps(recorder.into(), |each| each == step)
    }

    fn record_steps(
        &self,
        recorder: Recorder<'_, '_>,
        wanted: impl Fn(Step) -> bool,
    ) -> Result<(), BatchNormError> {
        self.check()?;
        recorder.record(&self.bindings, wanted);
        Ok(())
    }

    /// Whether the device lives, and the saved statistics that it needs are there.
    pub(crate) fn check(&self) -> Result<(), BatchNormError> {
        self.context.check_alive()?;
        if let Some(Saved { statistics, origin: expected, leaves: false }) = &self.saved {
            match statistics.origin() {
                None => return Err(BatchNormError::NoForward { expected: expected.to_string() }),
                Some(actual) if !expected.accepts(&actual) => {
                    let (actual, expected) = (actual.to_string(), expected.to_string());
                    return Err(BatchNormError::OtherForward { actual, expected });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        self.bindings.plan()
    }
}
