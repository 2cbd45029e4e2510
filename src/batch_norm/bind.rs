//! Checking and binding forward and backward passes.

use super::tensor_list::TensorList;
use super::{BackwardTensors, BatchNorm, BatchNormError, BoundOperation, ForwardTensors};
use crate::mode::{Mode, Source};
use crate::plan::{Operation, Pass, Wanted};
use crate::resource::Resource;
use crate::shape::Shape;
use crate::state::LeftBy;

impl BatchNorm {
    /// Checks and binds a forward pass: y = activation(γ·x̂ + β + residual).
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then.
    pub fn bind_forward(
        &self,
        shape: &Shape,
        mode: Mode,
        tensors: &ForwardTensors<'_>,
    ) -> Result<BoundOperation, BatchNormError> {
        let mut list = TensorList::new(self, shape);
        let pass = self.list_forward(&mut list, mode, tensors);
        let operation = Operation::Forward { pass, in_place: tensors.y.starts_with(&tensors.x) };
        self.check_mask(operation, tensors.mask)?;
        list.saved(tensors.saved, self.groups(shape, operation));
        let bindings = list.bind(operation, tensors.workspace.as_ref())?;
        let origin = self.origin(shape, pass, LeftBy::Forward);
        Ok(BoundOperation::leaving(self, bindings, tensors.saved, origin))
    }

    /// Everything but the saved statistics.
    pub(crate) fn list_forward<'t>(
        &self,
        list: &mut TensorList<'t>,
        mode: Mode,
        tensors: &'t ForwardTensors<'_>,
    ) -> Pass {
        let ForwardTensors { x, y, weight, bias, running, given, residual, mask, .. } = tensors;
        list.tensor(Resource::X, x).tensor_in_place_of(Resource::Y, y, x);
        if let Some(residual) = residual {
            list.tensor(Resource::Residual, residual);
        }
        list.parameter(Resource::Weight, self.options.weight, weight.as_ref());
        list.parameter(Resource::Bias, self.options.bias, bias.as_ref());
        list.running(self.options.running_statistics, *running).given(mode.source, *given).mask(*mask);
        Pass { mode, residual: residual.is_some(), mask: mask.is_some() }
    }

    /// Checks and binds a backward pass: dx, dresidual, dγ and dβ, each if it is asked for. `mode` is that
    /// of the forward pass that leaves `saved`.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then. That the forward pass
    /// has been recorded is checked when the backward pass is.
    pub fn bind_backward(
        &self,
        shape: &Shape,
        mode: Mode,
        tensors: &BackwardTensors<'_>,
    ) -> Result<BoundOperation, BatchNormError> {
        let mut list = TensorList::new(self, shape);
        let (pass, wanted) = self.list_backward(&mut list, mode, tensors);
        let operation = Operation::Backward { pass, wanted };
        self.check_mask(operation, tensors.mask)?;
        list.saved(tensors.saved, self.groups(shape, operation));
        let bindings = list.bind(operation, tensors.workspace.as_ref())?;
        let origin = self.origin(shape, pass, LeftBy::Forward);
        Ok(BoundOperation::needing(self, bindings, tensors.saved, origin))
    }

    /// Everything but the saved statistics.
    pub(crate) fn list_backward<'t>(
        &self,
        list: &mut TensorList<'t>,
        mode: Mode,
        tensors: &'t BackwardTensors<'_>,
    ) -> (Pass, Wanted) {
        let BackwardTensors { x, dy, residual, mask, dx, dresidual, dweight, dbias, dgiven, .. } = tensors;
        list.tensor(Resource::X, x).tensor(Resource::Dy, dy).mask(*mask);
        if let Some(residual) = residual {
            list.tensor(Resource::Residual, residual);
        }
        if let Some(dx) = dx {
            list.tensor_in_place_of(Resource::Dx, dx, dy);
        }
        if let Some(dresidual) = dresidual {
            list.tensor(Resource::Dresidual, dresidual);
        }
        for (resource, gradient) in [(Resource::Dweight, dweight), (Resource::Dbias, dbias)] {
            if let Some((range, _)) = gradient {
                list.per_channel(resource, range);
            }
        }
        if let Some(given) = dgiven {
            if mode.source != Source::Given {
                list.fail(BatchNormError::NoGivenStatistics { actual: mode.source });
            }
            list.per_channel(Resource::Dmean, &given.mean).per_channel(Resource::Dvariance, &given.var);
        }
        let wanted = Wanted {
            dx: dx.is_some(),
            in_place: dx.as_ref().is_some_and(|dx| dx.starts_with(dy)),
            dresidual: dresidual.is_some(),
            dweight: dweight.as_ref().map(|(_, accumulation)| *accumulation),
            dbias: dbias.as_ref().map(|(_, accumulation)| *accumulation),
            dstatistics: dgiven.is_some(),
        };
        // The gradients do not depend on whether the running statistics were updated.
        let mode = Mode { update: false, ..mode };
        (Pass { mode, residual: residual.is_some(), mask: mask.is_some() }, wanted)
    }
}
