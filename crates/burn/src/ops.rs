//! The passes as operations of burn's backends: through its dispatch, its autodiff and its fusion.
//!
//! Tensors that a pass does not have are stood in for by x, which costs nothing: burn's operations have a fixed list.

use crate::device::Engine;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, ExtensionType, backend_extension};
#[cfg(feature = "fusion")]
use burn::tensor::DType;
use std::sync::Arc;
use wgpu_batchnorm::{Activation, BatchNorm, Mode, Options, Order, SavedStatistics, Shape};

/// All that a pass is told beside its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) engine: Engine,
    pub(crate) layer: Arc<BatchNorm>,
    pub(crate) shape: Shape,
    pub(crate) mode: Mode,
    pub(crate) residual: bool,
}

impl Call {
    pub(crate) fn options(&self) -> &Options {
        self.layer.options()
    }

    /// Whether the running statistics take in the batch.
    pub(crate) fn updates(&self) -> bool {
        self.mode.update && self.options().running_statistics
    }

    /// f32 values that the backward pass needs.
    pub(crate) fn saved_values(&self) -> usize {
        usize::try_from(SavedStatistics::bytes(self.options().channels) / 4).unwrap_or(usize::MAX)
    }

    /// Whether the residual's value enters the gradients, and its gradient is another one than y's.
    pub(crate) fn activates_output(&self) -> bool {
        self.options().activation != Activation::None && self.options().order == Order::Post
    }
}

/// Which gradients a backward pass computes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) dx: bool,
    pub(crate) dweight: bool,
    pub(crate) dbias: bool,
    pub(crate) dresidual: bool,
}

/// What a forward pass returns.
#[derive(Debug, ExtensionType)]
#[extension_type(fusion: cfg(feature = "fusion"))]
pub(crate) struct Forward<B: Backend> {
    pub(crate) y: FloatTensor<B>,
    /// What the backward pass needs, as [`SavedStatistics`] has it.
    pub(crate) saved: FloatTensor<B>,
    /// The running statistics after the pass; a single value if they take in nothing.
    pub(crate) mean: FloatTensor<B>,
    pub(crate) var: FloatTensor<B>,
}

/// What a backward pass returns; single values in the place of what is not wanted.
#[derive(Debug, ExtensionType)]
#[extension_type(fusion: cfg(feature = "fusion"))]
pub(crate) struct Gradient<B: Backend> {
    pub(crate) dx: FloatTensor<B>,
    pub(crate) dweight: FloatTensor<B>,
    pub(crate) dbias: FloatTensor<B>,
    pub(crate) dresidual: FloatTensor<B>,
}

/// The passes, as a backend of burn runs them.
#[backend_extension(Cube, Autodiff, Fusion: cfg(feature = "fusion"))]
pub(crate) trait BatchNormOps: Backend {
    /// y, and the running statistics after it.
    #[fusion(meta = forward_specs)]
    fn batch_norm_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        call: Call,
    ) -> Forward<Self>;

    /// The gradients.
    #[fusion(meta = backward_specs)]
    fn batch_norm_backward(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        saved: FloatTensor<Self>,
        call: Call,
        wanted: Wanted,
    ) -> Gradient<Self>;
}

#[cfg(feature = "fusion")]
fn values(values: usize) -> TensorSpec {
    TensorSpec::new([values].into(), DType::F32)
}

#[cfg(feature = "fusion")]
fn forward_specs(
    x: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    call: &Call,
) -> ForwardMetadata {
    let state = values(if call.updates() { call.options().channels } else { 1 });
    ForwardMetadata { y: x.clone(), saved: values(call.saved_values()), mean: state.clone(), var: state }
}

#[cfg(feature = "fusion")]
fn backward_specs(
    x: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    call: &Call,
    wanted: &Wanted,
) -> GradientMetadata {
    let tensor = |wanted: bool| if wanted { x.clone() } else { values(1) };
    let vector = |wanted: bool| values(if wanted { call.options().channels } else { 1 });
    GradientMetadata {
        dx: tensor(wanted.dx),
        dweight: vector(wanted.dweight),
        dbias: vector(wanted.dbias),
        dresidual: tensor(wanted.dresidual),
    }
}

/// The node of a forward pass.
#[derive(Debug)]
struct Node;

/// What the backward pass is run with.
#[derive(Clone, Debug)]
struct Kept<T> {
    x: NodeId,
    /// If the gradients depend on its value.
    residual: Option<NodeId>,
    saved: T,
    call: Call,
}

impl<B: BatchNormOps> Backward<B, 4> for Node {
    type State = Kept<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let [x_node, weight, bias, residual_node] = ops.parents;
        let dy = gradients.consume::<B>(&ops.node);
        let Kept { x, residual, saved, call } = ops.state;
        let options = call.options();
        let wants_residual = call.residual && residual_node.is_some();
        let wanted = Wanted {
            dx: x_node.is_some(),
            dweight: options.weight && weight.is_some(),
            dbias: options.bias && bias.is_some(),
            dresidual: wants_residual && call.activates_output(),
        };
        // Without an activation after the sum its gradient is that of y.
        if let Some(node) = residual_node.as_ref().filter(|_| wants_residual && !wanted.dresidual) {
            gradients.register::<B>(node.id, dy.clone());
        }
        let Wanted { dx, dweight, dbias, dresidual } = wanted;
        if !(dx || dweight || dbias || dresidual) {
            return;
        }
        let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
        let residual =
            residual.map_or_else(|| x.clone(), |residual| checkpointer.retrieve_node_output(residual));
        let gradient = B::batch_norm_backward(x, dy, residual, saved, call, wanted);
        let found = [
            (x_node, wanted.dx, gradient.dx),
            (weight, wanted.dweight, gradient.dweight),
            (bias, wanted.dbias, gradient.dbias),
            (residual_node, wanted.dresidual, gradient.dresidual),
        ];
        for (node, wanted, gradient) in found {
            if let Some(node) = node.filter(|_| wanted) {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: BatchNormOps, C: CheckpointStrategy> BatchNormOps for Autodiff<B, C> {
    fn batch_norm_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        call: Call,
    ) -> Forward<Self> {
        let parents = [x.node(), weight.node(), bias.node(), residual.node()];
        let mut preparation = Node.prepare::<C>(parents).compute_bound().stateful();
        let kept = match &mut preparation {
            OpsKind::Tracked(preparation) => {
                let keeps_residual = call.residual && call.activates_output();
                let residual = keeps_residual.then(|| preparation.checkpoint(&residual));
                Some((preparation.checkpoint(&x), residual))
            }
            OpsKind::UnTracked(_) => None,
        };
        let [x, weight, bias, residual, mean, var] =
            [x, weight, bias, residual, mean, var].map(|tensor| tensor.into_primitive());
        let Forward { y, saved, mean, var } =
            B::batch_norm_forward(x, weight, bias, residual, mean, var, call.clone());
        let y = match (preparation, kept) {
            (OpsKind::Tracked(preparation), Some((x, residual))) => {
                preparation.finish(Kept { x, residual, saved: saved.clone(), call }, y)
            }
            (OpsKind::Tracked(_), None) => unreachable!("what is tracked is kept"),
            (OpsKind::UnTracked(preparation), _) => preparation.finish(y),
        };
        let constant = |tensor| <Self as AutodiffBackend>::from_inner(tensor);
        Forward { y, saved: constant(saved), mean: constant(mean), var: constant(var) }
    }

    fn batch_norm_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Call,
        _: Wanted,
    ) -> Gradient<Self> {
        unreachable!("burn differentiates once, so that a backward pass runs on the backend below autodiff")
    }
}
