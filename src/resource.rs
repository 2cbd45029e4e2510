//! What a kernel can bind: each tensor has one binding number, the same in every kernel.

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident = $binding:literal $text:literal),* $(,)?) => {
        /// A tensor, an array per channel, or a piece of the workspace.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Resource { $($(#[$doc])* $name),* }

        impl Resource {
            /// The number in `@binding(…)`; 0 is the uniform block. Two resources share one if they take
            /// each other's place.
            pub(crate) fn binding(self) -> u32 {
                match self { $(Self::$name => $binding),* }
            }

            /// The name in the shaders and in error messages.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

resources! {
    /// The input.
    X = 1 "x",
    /// The output.
    Y = 2 "y",
    /// The gradient with respect to y.
    Dy = 3 "dy",
    /// The gradient with respect to x.
    Dx = 4 "dx",
    /// γ.
    Weight = 5 "weight",
    /// β.
    Bias = 6 "bias",
    /// The running mean.
    RunningMean = 7 "running_mean",
    /// The running variance.
    RunningVar = 8 "running_var",
    /// A given mean, where the running one would be.
    GivenMean = 7 "given_mean",
    /// A given variance, where the running one would be.
    GivenVar = 8 "given_var",
    /// Batches that have entered the running statistics.
    NumBatchesTracked = 9 "num_batches_tracked",
    /// What normalized, for the backward pass.
    Saved = 10 "saved",
    /// The batch's own statistics, where others normalize.
    SavedOfBatch = 10 "saved statistics of the batch",
    /// What backward_finalize leaves for backward_apply.
    Coefficients = 11 "coefficients",
    /// What the reductions leave.
    Records = 12 "records",
    /// The gradient of γ.
    Dweight = 13 "dweight",
    /// The gradient of β.
    Dbias = 14 "dbias",
    /// Which positions count.
    Mask = 15 "mask",
    /// What is added before the activation.
    Residual = 16 "residual",
    /// The gradient of the residual.
    Dresidual = 17 "dresidual",
    /// The cotangent of dx.
    Ddx = 18 "ddx",
    /// Batches that have not entered.
    NumBatchesSkipped = 19 "num_batches_skipped",
    /// The cotangent of dγ.
    Ddweight = 20 "ddweight",
    /// The cotangent of dβ.
    Ddbias = 21 "ddbias",
    /// γ/σ.
    FoldedScale = 22 "scale",
    /// β − γ·mean/σ.
    FoldedOffset = 23 "offset",
    /// The gradient of the mean.
    Dmean = 24 "dmean",
    /// The gradient of the variance.
    Dvariance = 25 "dvariance",
    /// The gradient of dy.
    GradDy = 26 "grad_dy",
    /// The gradient of x through dx.
    GradX = 27 "grad_x",
    /// The gradient of γ through dx.
    GradWeight = 28 "grad_weight",
}

impl Resource {
    /// Whether it has as many elements as x.
    pub(crate) fn is_tensor(self) -> bool {
        matches!(
            self,
            Self::X
                | Self::Y
                | Self::Dy
                | Self::Dx
                | Self::Residual
                | Self::Dresidual
                | Self::Ddx
                | Self::GradDy
                | Self::GradX
        )
    }
}
