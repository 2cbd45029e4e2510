//! What a kernel can bind: each tensor has one binding number, the same in every kernel.

/// A tensor, an array per channel, or a piece of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Resource {
    X = 1,
    Y = 2,
    Dy = 3,
    Dx = 4,
    Weight = 5,
    Bias = 6,
    RunningMean = 7,
    RunningVar = 8,
    NumBatchesTracked = 9,
    Saved = 10,
    Coefficients = 11,
    Records = 12,
    Dweight = 13,
    Dbias = 14,
}

impl Resource {
    /// All of them, in the order of their bindings.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 14] = [
        Self::X,
        Self::Y,
        Self::Dy,
        Self::Dx,
        Self::Weight,
        Self::Bias,
        Self::RunningMean,
        Self::RunningVar,
        Self::NumBatchesTracked,
        Self::Saved,
        Self::Coefficients,
        Self::Records,
        Self::Dweight,
        Self::Dbias,
    ];

    /// The number in `@binding(…)`; 0 is the uniform block.
    pub(crate) fn binding(self) -> u32 {
        self as u32
    }

    /// The name in the shaders and in error messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Y => "y",
            Self::Dy => "dy",
            Self::Dx => "dx",
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::RunningMean => "running_mean",
            Self::RunningVar => "running_var",
            Self::NumBatchesTracked => "num_batches_tracked",
            Self::Saved => "saved",
            Self::Coefficients => "coefficients",
            Self::Records => "records",
            Self::Dweight => "dweight",
            Self::Dbias => "dbias",
        }
    }
}
