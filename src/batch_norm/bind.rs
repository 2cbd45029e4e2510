//! Checking and binding the tensors of a pass.

use super::{Backward, BackwardTensors, BatchNorm, BatchNormError, Forward, ForwardTensors};
use crate::buffer::{self, Bound, BufferRange, TensorError};
use crate::options::Mode;
use crate::plan::Operation;
use crate::program::Bindings;
use crate::resource::Resource;
use crate::shape::Shape;
use crate::state::{Origin, RunningStatistics};

impl BatchNorm {
    /// Checks and binds a forward pass: y = γ·x̂ + β.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then.
    pub fn bind_forward(
        &self,
        shape: &Shape,
        mode: Mode,
        tensors: &ForwardTensors<'_>,
    ) -> Result<Forward, BatchNormError> {
        let ForwardTensors { x, y, weight, bias, running, saved, workspace } = tensors;
        let operation = Operation::Forward { mode, in_place: y.starts_with(x) };
        let mut bound = vec![self.tensor(shape, Resource::X, x)];
        // A result in place of its input is one binding, and shares all its bytes by design.
        let y = self.tensor(shape, Resource::Y, y);
        if y.range.starts_with(x) {
            self.check_tensors(&[y])?;
        } else {
            bound.push(y);
        }
        self.check_given("weight", self.options.weight, weight.is_some())?;
        self.check_given("bias", self.options.bias, bias.is_some())?;
        self.check_given("running", self.options.running_statistics, running.is_some())?;
        bound.extend(weight.as_ref().map(|range| self.per_channel(Resource::Weight, range)));
        bound.extend(bias.as_ref().map(|range| self.per_channel(Resource::Bias, range)));
        if let Some(RunningStatistics { mean, var, num_batches_tracked }) = running {
            bound.push(self.per_channel(Resource::RunningMean, mean));
            bound.push(self.per_channel(Resource::RunningVar, var));
            bound.push(self.per_channel(Resource::NumBatchesTracked, num_batches_tracked));
        }
        bound.push(self.per_channel(Resource::Saved, &saved.range));
        let bindings = self.bind(shape, operation, &bound, workspace.as_ref())?;
        let saved = (*saved).clone();
        Ok(Forward { context: self.context.clone(), bindings, saved, origin: Origin { shape: *shape, mode } })
    }

    /// Checks and binds a backward pass: dx, dγ and dβ, each if it is asked for. `mode` is that of the
    /// forward pass that leaves `saved`.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then. That the forward pass
    /// has been recorded is checked when the backward pass is.
    pub fn bind_backward(
        &self,
        shape: &Shape,
        mode: Mode,
        tensors: &BackwardTensors<'_>,
    ) -> Result<Backward, BatchNormError> {
        let BackwardTensors { x, dy, weight, saved, dx, dweight, dbias, workspace } = tensors;
        let in_place = dx.as_ref().is_some_and(|dx| dx.starts_with(dy));
        let operation = Operation::Backward {
            mode,
            dx: dx.is_some(),
            in_place,
            dweight: dweight.as_ref().map(|(_, accumulation)| *accumulation),
            dbias: dbias.as_ref().map(|(_, accumulation)| *accumulation),
        };
        let mut bound = vec![self.tensor(shape, Resource::X, x), self.tensor(shape, Resource::Dy, dy)];
        if let Some(dx) = dx.as_ref().map(|range| self.tensor(shape, Resource::Dx, range)) {
            if in_place {
                self.check_tensors(&[dx])?;
            } else {
                bound.push(dx);
            }
        }
        self.check_given("weight", self.options.weight, weight.is_some())?;
        bound.extend(weight.as_ref().map(|range| self.per_channel(Resource::Weight, range)));
        bound.push(self.per_channel(Resource::Saved, &saved.range));
        bound.extend(dweight.as_ref().map(|(range, _)| self.per_channel(Resource::Dweight, range)));
        bound.extend(dbias.as_ref().map(|(range, _)| self.per_channel(Resource::Dbias, range)));
        let bindings = self.bind(shape, operation, &bound, workspace.as_ref())?;
        let saved = (*saved).clone();
        Ok(Backward {
            context: self.context.clone(),
            bindings,
            saved,
            expected: Origin { shape: *shape, mode },
        })
    }

    fn bind(
        &self,
        shape: &Shape,
        operation: Operation,
        tensors: &[Bound<'_>],
        workspace: Option<&BufferRange>,
    ) -> Result<Bindings, BatchNormError> {
        self.check_shape(shape, operation)?;
        self.context.check_alive()?;
        self.check_tensors(tensors)?;
        let program = self.context.program(shape, &self.options, operation)?;
        let bytes = program.plan.workspace_bytes();
        let workspace = match workspace {
            Some(range) => {
                let all = tensors.iter().copied();
                let workspace = Bound { resource: Resource::Records, name: "workspace", range, bytes };
                self.check_tensors(&all.chain([workspace]).collect::<Vec<_>>())?;
                range.clone()
            }
            None => self.context.workspace(bytes)?,
        };
        Ok(program.bind(&self.context, tensors, &workspace)?)
    }

    pub(super) fn check_shape(&self, shape: &Shape, operation: Operation) -> Result<(), BatchNormError> {
        let (actual, expected) = (shape.channels(), self.options.channels);
        if actual != expected {
            return Err(BatchNormError::Channels { shape: *shape, actual, expected });
        }
        let (Operation::Forward { mode, .. } | Operation::Backward { mode, .. }) = operation;
        match mode {
            Mode::TRAINING if shape.values_per_channel() == 1 => {
                Err(BatchNormError::OneValuePerChannel { shape: *shape })
            }
            Mode::EVALUATION if !self.options.running_statistics => Err(BatchNormError::NoRunningStatistics),
            _ => Ok(()),
        }
    }

    fn check_given(&self, tensor: &'static str, wanted: bool, given: bool) -> Result<(), TensorError> {
        match (wanted, given) {
            (true, false) => Err(TensorError::Missing { tensor, reason: "the layer's options have it" }),
            (false, true) => {
                Err(TensorError::Unexpected { tensor, reason: "the layer's options are without it" })
            }
            _ => Ok(()),
        }
    }

    fn tensor<'t>(&self, shape: &Shape, resource: Resource, range: &'t BufferRange) -> Bound<'t> {
        Bound::new(resource, range, shape.elements() as u64 * size_of::<f32>() as u64)
    }

    fn per_channel<'t>(&self, resource: Resource, range: &'t BufferRange) -> Bound<'t> {
        Bound::new(resource, range, resource.bytes_per_channel() * self.options.channels as u64)
    }

    fn check_tensors(&self, tensors: &[Bound<'_>]) -> Result<(), TensorError> {
        let alignment = u64::from(self.context.traits().min_storage_buffer_offset_alignment);
        buffer::check(tensors, alignment, self.context.maker())
    }
}
