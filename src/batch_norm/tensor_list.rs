//! What an operation is given, collected for checking and binding.

use super::{BatchNorm, BatchNormError};
use crate::buffer::{self, Bound, BufferRange, TensorError};
use crate::mask::Mask;
use crate::mode::Source;
use crate::plan::{Operation, PLANES, WORD_BYTES};
use crate::program::Bindings;
use crate::resource::Resource;
use crate::shape::Shape;
use crate::state::{GivenStatistics, RunningStatistics, SavedStatistics};

/// Why a tensor is missing, and why it is not expected.
const BY_OPTIONS: [&str; 2] = ["the layer's options have it", "the layer's options are without it"];
const BY_SOURCE: [&str; 2] = ["given statistics are to normalize", "other statistics are to normalize"];

/// The tensors of one operation on one shape.
pub(crate) struct TensorList<'t> {
    batch_norm: &'t BatchNorm,
    shape: Shape,
    bound: Vec<Bound<'t>>,
    /// The first thing that was wrong while collecting.
    error: Option<BatchNormError>,
}

impl<'t> TensorList<'t> {
    pub(crate) fn new(batch_norm: &'t BatchNorm, shape: &Shape) -> Self {
        Self { batch_norm, shape: *shape, bound: Vec::new(), error: None }
    }

    /// A tensor of N·C·S elements.
    pub(crate) fn tensor(&mut self, resource: Resource, range: &'t BufferRange) -> &mut Self {
        let bytes = self.shape.elements() as u64 * self.batch_norm.options.dtype.bytes();
        // Bindings are whole words.
        self.add(resource, range, bytes.next_multiple_of(WORD_BYTES))
    }

    /// A tensor that may take the exact place of another: then it is bound only once, and shares all its
    /// bytes by design.
    pub(crate) fn tensor_in_place_of(
        &mut self,
        resource: Resource,
        range: &'t BufferRange,
        other: &BufferRange,
    ) -> &mut Self {
        self.tensor(resource, range);
        if range.starts_with(other)
            && let Some(bound) = self.bound.pop()
            && let Err(error) = self.batch_norm.check_tensors(&[bound])
        {
            self.fail(error);
        }
        self
    }

    /// An array of C values.
    pub(crate) fn per_channel(&mut self, resource: Resource, range: &'t BufferRange) -> &mut Self {
        self.add(resource, range, WORD_BYTES * self.shape.channels() as u64)
    }

    /// An array of C values that the options ask for or exclude.
    pub(crate) fn parameter(
        &mut self,
        resource: Resource,
        wanted: bool,
        range: Option<&'t BufferRange>,
    ) -> &mut Self {
        self.check_given(resource.name(), wanted, range.is_some(), BY_OPTIONS);
        match range {
            Some(range) => self.per_channel(resource, range),
            None => self,
        }
    }

    pub(crate) fn running(&mut self, wanted: bool, running: Option<&'t RunningStatistics>) -> &mut Self {
        self.check_given("running", wanted, running.is_some(), BY_OPTIONS);
        let Some(RunningStatistics { mean, var, num_batches_tracked, num_batches_skipped }) = running else {
            return self;
        };
        self.per_channel(Resource::RunningMean, mean)
            .per_channel(Resource::RunningVar, var)
            .per_channel(Resource::NumBatchesTracked, num_batches_tracked)
            .per_channel(Resource::NumBatchesSkipped, num_batches_skipped)
    }

    pub(crate) fn given(&mut self, source: Source, given: Option<&'t GivenStatistics>) -> &mut Self {
        self.check_given("given", source == Source::Given, given.is_some(), BY_SOURCE);
        match given {
            Some(GivenStatistics { mean, var }) => {
                self.per_channel(Resource::GivenMean, mean).per_channel(Resource::GivenVar, var)
            }
            None => self,
        }
    }

    pub(crate) fn mask(&mut self, mask: Option<&'t Mask>) -> &mut Self {
        let Some(mask) = mask else { return self };
        if let Err(error) = mask.check(&self.shape) {
            self.fail(error);
        }
        self.add(Resource::Mask, &mask.range, WORD_BYTES * self.shape.values_per_channel() as u64)
    }

    pub(crate) fn saved(&mut self, saved: &'t SavedStatistics, groups: u64) -> &mut Self {
        let bytes = PLANES * WORD_BYTES * self.shape.channels() as u64 * groups;
        self.add(Resource::Saved, &saved.range, bytes)
    }

    pub(crate) fn records(&mut self, range: &'t BufferRange, bytes: u64) -> &mut Self {
        self.add(Resource::Records, range, bytes)
    }

    fn add(&mut self, resource: Resource, range: &'t BufferRange, bytes: u64) -> &mut Self {
        self.bound.push(Bound::new(resource, range, bytes));
        self
    }

    fn check_given(
        &mut self,
        tensor: &'static str,
        wanted: bool,
        given: bool,
        [with, without]: [&'static str; 2],
    ) {
        match (wanted, given) {
            (true, false) => self.fail(TensorError::Missing { tensor, reason: with }),
            (false, true) => self.fail(TensorError::Unexpected { tensor, reason: without }),
            _ => {}
        }
    }

    pub(crate) fn fail(&mut self, error: impl Into<BatchNormError>) {
        self.error.get_or_insert(error.into());
    }

    /// Checks everything, and makes the bind groups.
    pub(crate) fn bind(
        &mut self,
        operation: Operation,
        workspace: Option<&BufferRange>,
    ) -> Result<Bindings, BatchNormError> {
        let Self { batch_norm, shape, bound, error } = self;
        batch_norm.check_shape(shape, operation)?;
        if let Some(error) = error.take() {
            return Err(error);
        }
        let context = &batch_norm.context;
        context.check_alive()?;
        batch_norm.check_tensors(bound)?;
        let program = context.program(shape, &batch_norm.options, operation)?;
        let bytes = program.plan.workspace_bytes();
        let workspace = match workspace {
            Some(range) => {
                let workspace = Bound { resource: Resource::Records, name: "workspace", range, bytes };
                let all = bound.iter().copied().chain([workspace]);
                batch_norm.check_tensors(&all.collect::<Vec<_>>())?;
                range.clone()
            }
            None => context.workspace(bytes)?,
        };
        Ok(program.bind(context, bound, &workspace)?)
    }
}

impl BatchNorm {
    fn check_tensors(&self, tensors: &[Bound<'_>]) -> Result<(), TensorError> {
        let alignment = u64::from(self.context.traits().min_storage_buffer_offset_alignment);
        buffer::check(tensors, alignment, self.context.maker())
    }
}
