//! Binding and recording in one call: what was bound is kept for the next one.

use super::{BackwardTensors, BatchNorm, BatchNormError, ForwardTensors, Recorder};
use crate::buffer::BufferRange;
use crate::context::lock;
use crate::mask::Mask;
use crate::mode::Mode;
use crate::plan::Accumulation;
use crate::shape::Shape;
use crate::state::RunningStatistics;
use std::sync::Arc;

/// What must be equal for bindings to be used again.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct BindingKey {
    shape: Shape,
    mode: Mode,
    saved: usize,
    ranges: Vec<Option<BufferRange>>,
    mask: Option<Mask>,
    accumulations: [Option<Accumulation>; 2],
}

/// Bindings keep their buffers alive, so only a few are kept: enough for buffers that take turns, two batch
/// sizes (the last one of an epoch is smaller) and both modes.
pub(super) const KEPT_BINDINGS: usize = 8;

impl BatchNorm {
    /// Records a forward pass; binds the tensors only if they are others than in the calls before.
    ///
    /// # Errors
    /// As [`BatchNorm::bind_forward`] and [`BoundOperation::record`](super::BoundOperation::record); nothing is recorded then.
    pub fn record_forward<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        shape: &Shape,
        mode: Mode,
        tensors: &ForwardTensors<'_>,
    ) -> Result<(), BatchNormError> {
        let ForwardTensors { x, y, weight, bias, running, given, residual, mask, saved, workspace } = tensors;
        let running = running.map(|running| {
            let RunningStatistics { mean, var, num_batches_tracked, num_batches_skipped } = running;
            [mean, var, num_batches_tracked, num_batches_skipped]
        });
        let [mean, var, tracked, skipped] = running.map_or([None; 4], |ranges| ranges.map(Some));
        let given = given.map(|given| [&given.mean, &given.var]);
        let [given_mean, given_var] = given.map_or([None; 2], |ranges| ranges.map(Some));
        let [weight, bias, residual, workspace] = [weight, bias, residual, workspace].map(Option::as_ref);
        let mask = mask.cloned();
        let ranges = [Some(x), Some(y), weight, bias, mean, var, tracked, skipped, given_mean, given_var];
        let ranges = ranges.into_iter().chain([residual, workspace]).map(|range| range.cloned());
        let ranges = ranges.collect();
        let key = BindingKey {
            shape: *shape,
            mode,
            saved: saved.identity(),
            ranges,
            mask,
            accumulations: [None; 2],
        };
        let forward = lock(&self.forwards)
            .get_or_make(&key, || self.bind_forward(shape, mode, tensors).map(Arc::new))?;
        forward.record(recorder)
    }

    /// Records a backward pass; binds the tensors only if they are others than in the calls before.
    ///
    /// # Errors
    /// As [`BatchNorm::bind_backward`] and [`BoundOperation::record`](super::BoundOperation::record); nothing is recorded then.
    pub fn record_backward<'a, 'e: 'a>(
        &self,
        recorder: impl Into<Recorder<'a, 'e>>,
        shape: &Shape,
        mode: Mode,
        tensors: &BackwardTensors<'_>,
    ) -> Result<(), BatchNormError> {
        let BackwardTensors { x, dy, residual, mask, saved, dx, dresidual, .. } = tensors;
        let BackwardTensors { dweight, dbias, dgiven, workspace, .. } = tensors;
        let gradient = |gradient: &Option<(BufferRange, Accumulation)>| gradient.clone().unzip();
        let ((dweight, dweight_as), (dbias, dbias_as)) = (gradient(dweight), gradient(dbias));
        let ranges = vec![
            Some(x.clone()),
            Some(dy.clone()),
            residual.clone(),
            dx.clone(),
            dresidual.clone(),
            dweight,
            dbias,
            dgiven.map(|given| given.mean.clone()),
            dgiven.map(|given| given.var.clone()),
            workspace.clone(),
        ];
        let accumulations = [dweight_as, dbias_as];
        let mask = mask.cloned();
        let key = BindingKey { shape: *shape, mode, saved: saved.identity(), ranges, mask, accumulations };
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
