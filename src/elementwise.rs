//! What is done to single elements: how they are stored, and what is fused with the normalization.

/// The element type of x, y, dy, dx and the residual. Statistics and everything per channel are f32, and
/// so is all arithmetic: only what is stored is rounded (PyTorch's batch normalization of half tensors with float
/// parameters). No adapter feature is needed.
///
/// ```no_run
/// use wgpu_batchnorm::{Context, Dtype, Layout, Shape, Tensor};
///
/// let context = Context::new_blocking()?;
/// let shape = Shape::new(&[1, 3], Layout::ChannelsLast)?;
/// let tensor = Tensor::upload_as(&context, shape, Dtype::BF16, &[1.0, 1.0 / 3.0, 1e30])?;
/// assert_eq!(tensor.download_blocking()?[0], 1.0);
/// assert_eq!(tensor.range().size, 8); // three times two bytes, in whole words
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754 binary32.
    #[default]
    F32,
    /// IEEE 754 binary16, two to a 32-bit word, the first one in the lower half; rounded to nearest even.
    F16,
    /// The upper half of a binary32 (bfloat16), stored like [`Dtype::F16`].
    BF16,
}

impl Dtype {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

/// A function of single elements that is fused with the normalization, forward and backward.
///
/// The gradient is taken from z = γ·x̂ + β + residual again (or from x, if the activation comes before), so nothing
/// more is kept, and no tensor is read or written once more.
///
/// ```
/// use wgpu_batchnorm::{Activation, Options, Order};
///
/// // y = silu(γ·x̂ + β + residual)
/// let after = Options { activation: Activation::Silu, ..Options::new(64) };
/// // y = γ·x̂ + β with x̂ that of relu(x)
/// let before = Options { activation: Activation::Relu, order: Order::Pre, ..Options::new(64) };
/// # assert!(after.validate().is_ok() && before.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// v
    #[default]
    None,
    /// max(0, v); its derivative at 0 is 0 (PyTorch's `relu`).
    Relu,
    /// v where v > 0, else slope·v; its derivative at 0 is the slope (PyTorch's `leaky_relu`).
    LeakyRelu {
        /// The slope for v ≤ 0; PyTorch's default is 0.01.
        negative_slope: f64,
    },
    /// v·sigmoid(v), also called swish (PyTorch's `silu`).
    Silu,
    /// v·Φ(v), Φ the normal distribution function (PyTorch's `gelu`).
    Gelu,
    /// v/2·(1 + tanh(√(2/π)·(v + 0.044715·v³))) (PyTorch's `gelu` with `approximate="tanh"`).
    GeluTanh,
    /// 1/(1 + exp(−v))
    Sigmoid,
    /// tanh(v)
    Tanh,
}

/// Where the activation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// y = activation(γ·x̂ + β + residual)
    #[default]
    Post,
    /// y = γ·x̂ + β + residual, with x̂ that of activation(x), whose statistics are taken.
    Pre,
}
