//! The WGSL files, and which of them fill which slot.

/// One WGSL file: a kernel, or the value of one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Where it lies below `shaders/`: what error messages point to.
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
}

// A path names one file, so it stands for the text in comparisons and cache keys.
impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}
impl Eq for Part {}
impl std::hash::Hash for Part {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

macro_rules! parts {
    ($($name:ident = $path:literal),* $(,)?) => {
        $(pub(crate) const $name: Part =
            Part { path: $path, text: include_str!(concat!("../../shaders/", $path)) };)*
        /// Every WGSL file of the library.
        #[cfg(test)]
        pub(crate) const ALL: &[Part] = &[$($name),*];
    };
}

parts! {
    STATISTICS = "statistics.wgsl",
    FINALIZE = "finalize.wgsl",
    RUNNING_STATS = "running_stats.wgsl",
    NORMALIZE = "normalize.wgsl",
    BACKWARD_REDUCE = "backward_reduce.wgsl",
    BACKWARD_FINALIZE = "backward_finalize.wgsl",
    BACKWARD_APPLY = "backward_apply.wgsl",
    PARAMS = "shared/params.wgsl",
    TILE = "shared/tile.wgsl",
    EXACT = "shared/exact.wgsl",
    SUBTRACT_OPAQUE = "shared/subtract/opaque.wgsl",
    SUBTRACT_PLAIN = "shared/subtract/plain.wgsl",
    INVERSE_SQRT = "shared/inverse_sqrt.wgsl",
    RECORDS = "shared/records.wgsl",
    COEFFICIENTS = "shared/coefficients.wgsl",
    VECTOR_1 = "shared/vector/1.wgsl",
    VECTOR_2 = "shared/vector/2.wgsl",
    VECTOR_4 = "shared/vector/4.wgsl",
    CHANNELS_FIRST = "shared/layout/channels_first.wgsl",
    CHANNELS_LAST = "shared/layout/channels_last.wgsl",
    PER_CHANNEL = "shared/layout/per_channel.wgsl",
    MOMENTS = "shared/monoid/moments.wgsl",
    MOMENTS_OF_BLOCK = "shared/monoid/moments_of_block.wgsl",
    LOAD_MOMENTS = "shared/monoid/load_moments.wgsl",
    GRAD_SUMS = "shared/monoid/grad_sums.wgsl",
    LOAD_GRAD_SUMS = "shared/monoid/load_grad_sums.wgsl",
    REDUCTION_TREE = "shared/reduction/tree.wgsl",
    REDUCTION_NONE = "shared/reduction/none.wgsl",
    SOURCE_BATCH = "shared/source/batch.wgsl",
    SOURCE_RUNNING = "shared/source/running.wgsl",
    MOVING_AVERAGE = "shared/momentum/moving_average.wgsl",
    CUMULATIVE = "shared/momentum/cumulative.wgsl",
    WEIGHT_GIVEN = "shared/weight/given.wgsl",
    WEIGHT_ONE = "shared/weight/one.wgsl",
    BIAS_GIVEN = "shared/bias/given.wgsl",
    BIAS_ZERO = "shared/bias/zero.wgsl",
    OUTPUT_Y = "shared/output/y.wgsl",
    OUTPUT_Y_OVER_X = "shared/output/y_over_x.wgsl",
    OUTPUT_DX = "shared/output/dx.wgsl",
    OUTPUT_DX_OVER_DY = "shared/output/dx_over_dy.wgsl",
    DX_BATCH_STATISTICS = "shared/dx/batch_statistics.wgsl",
    DX_CONSTANT_STATISTICS = "shared/dx/constant_statistics.wgsl",
    DWEIGHT_DISCARDED = "shared/dweight/discarded.wgsl",
    DWEIGHT_WRITTEN = "shared/dweight/written.wgsl",
    DWEIGHT_ADDED = "shared/dweight/added.wgsl",
    DBIAS_DISCARDED = "shared/dbias/discarded.wgsl",
    DBIAS_WRITTEN = "shared/dbias/written.wgsl",
    DBIAS_ADDED = "shared/dbias/added.wgsl",
}
