//! A loss whose gradient lies in memory already, so that a backward pass has nothing but the layer in it.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::{CubeBackend, CubeTensor};
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

/// A loss without a value, whose gradient with respect to `y` is `dy`: what the layer behind a batch normalization hands
/// to it.
pub(crate) fn loss_with_gradient(y: Tensor<4>, dy: Tensor<4>) -> Tensor<4> {
    let Loss { loss } = Dispatch::loss_with_gradient(y.into_dispatch(), dy.into_dispatch());
    Tensor::from_dispatch(loss)
}

#[derive(Debug, ExtensionType)]
#[extension_type(fusion: cfg(feature = "fusion"))]
struct Loss<B: Backend> {
    loss: FloatTensor<B>,
}

#[backend_extension(Cube, Autodiff, Fusion: cfg(feature = "fusion"))]
trait GivenGradient: Backend {
    #[fusion(meta = specs)]
    fn loss_with_gradient(y: FloatTensor<Self>, dy: FloatTensor<Self>) -> Loss<Self>;
}

#[cfg(feature = "fusion")]
fn specs(y: &TensorSpec, _: &TensorSpec) -> LossMetadata {
    LossMetadata { loss: TensorSpec::new([1, 1, 1, 1].into(), y.dtype) }
}

impl GivenGradient for CubeBackend {
    fn loss_with_gradient(y: FloatTensor<Self>, _: FloatTensor<Self>) -> Loss<Self> {
        let handle = y.client.empty(y.dtype.size());
        let shape = [1, 1, 1, 1].into();
        Loss { loss: CubeTensor::new_contiguous(y.client.clone(), y.device.clone(), shape, handle, y.dtype) }
    }
}

/// The node of a loss; its gradient is kept.
#[derive(Debug)]
struct Node;

impl<B: GivenGradient> Backward<B, 1> for Node {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        // Of the loss itself: 1, which nobody needs.
        drop(gradients.consume::<B>(&ops.node));
        let [y] = ops.parents;
        if let Some(y) = y {
            gradients.register::<B>(y.id, ops.state);
        }
    }
}

impl<B: GivenGradient, C: CheckpointStrategy> GivenGradient for Autodiff<B, C> {
    fn loss_with_gradient(y: FloatTensor<Self>, dy: FloatTensor<Self>) -> Loss<Self> {
        let preparation = Node.prepare::<C>([y.node()]).compute_bound().stateful();
        let dy = dy.into_primitive();
        let Loss { loss } = B::loss_with_gradient(y.into_primitive(), dy.clone());
        let loss = match preparation {
            OpsKind::Tracked(preparation) => preparation.finish(dy, loss),
            OpsKind::UnTracked(preparation) => preparation.finish(loss),
        };
        Loss { loss }
    }
}
