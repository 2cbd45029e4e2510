//! Binding and recording in one call: what was bound is kept for the next one.

use super::{BackwardTensors, BatchNorm, BatchNormError, ForwardTensors, Recorder};
use crate::buffer::BufferRange;
use crate::context::lock;
use crate::options::Mode;
use crate::plan::Accumulation;
use crate::shape::Shape;
use std::sync::Arc;

/// What must be equal for bindings to be used again.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct BindingKey {
    shape: Shape,
    mode: Mode,
    saved: usize,
    ranges: Vec<Option<BufferRange>>,
    accumulations: [Option<Accumulation>; 2],
}

/// Bindings keep their buffers alive, so only a few are kept: enough for buffers that take turns, two batch
/// sizes (the last one of an epoch is smaller) and both modes.
pub(super) const KEPT_BINDINGS: usize = 8;

impl BatchNorm {
    /// Records a forward pass; binds the tensors only if they are others than in the calls before.
    ///
    /// # Errors
    /// As [`BatchNorm::bind_forward`] and [`Forward::record`](super::Forward::record); nothing is recorded then.
    pub fn record_forward<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        shape: &Shape,
        mode: Mode,
        tensors: &ForwardTensors<'_>,
    ) -> Result<(), BatchNormError> {
        let ForwardTensors { x, y, weight, bias, running, saved, workspace } = tensors;
        let running = running.map(|running| [&running.mean, &running.var, &running.num_batches_tracked]);
        let [mean, var, batches] = running.map_or([None; 3], |ranges| ranges.map(Some));
        let ranges =
            [Some(x), Some(y), weight.as_ref(), bias.as_ref(), mean, var, batches, workspace.as_ref()];
        let ranges = ranges.into_iter().map(|range| range.cloned()).collect();
        let key =
            BindingKey { shape: *shape, mode, saved: saved.identity(), ranges, accumulations: [None; 2] };
        let forward = lock(&self.forwards)
            .get_or_make(&key, || self.bind_forward(shape, mode, tensors).map(Arc::new))?;
        forward.record(recorder)
    }

    /// Records a backward pass; binds the tensors only if they are others than in the calls before.
    ///
    /// # Errors
    /// As [`BatchNorm::bind_backward`] and [`Backward::record`](super::Backward::record); nothing is recorded then.
    pub fn record_backward<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        shape: &Shape,
        mode: Mode,
        tensors: &BackwardTensors<'_>,
    ) -> Result<(), BatchNormError> {
        let BackwardTensors { x, dy, weight, saved, dx, dweight, dbias, workspace } = tensors;
        let gradient = |gradient: &Option<(BufferRange, Accumulation)>| gradient.clone().unzip();
        let ((dweight, dweight_as), (dbias, dbias_as)) = (gradient(dweight), gradient(dbias));
        let ranges = vec![
            Some(x.clone()),
            Some(dy.clone()),
            weight.clone(),
            dx.clone(),
            dweight,
            dbias,
            workspace.clone(),
        ];
        let accumulations = [dweight_as, dbias_as];
        let key = BindingKey { shape: *shape, mode, saved: saved.identity(), ranges, accumulations };
        let backward = lock(&self.backwards)
            .get_or_make(&key, || self.bind_backward(shape, mode, tensors).map(Arc::new))?;
        backward.record(recorder)
    }

    /// Forgets what [`BatchNorm::record_forward`] and [`BatchNorm::record_backward`] have bound, and
    /// with it the buffers.
    pub fn release_bindings(&self) {
        lock(&self.forwards).clear();
        lock(&self.backwards).clear();
    }
}
