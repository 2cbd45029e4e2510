//! The WGSL files, and which of them fill which slot.

use crate::resource::Resource;

/// One WGSL file: a kernel, or the value of one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Where it lies below `shaders/`: what error messages point to.
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    /// Which tensor the text is for, if it is written for any.
    pub(crate) tensor: Option<Resource>,
}

impl Part {
    /// The file for this tensor.
    pub(crate) fn of(self, tensor: Resource) -> Self {
        Self { tensor: Some(tensor), ..self }
    }

    /// A path names one file, so it stands for the text in comparisons and cache keys.
    fn key(&self) -> (&'static str, Option<Resource>) {
        (self.path, self.tensor)
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Part {}
impl std::hash::Hash for Part {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

macro_rules! parts {
    ($($name:ident = $path:literal),* $(,)?) => {
        $(pub(crate) const $name: Part =
            Part { path: $path, text: include_str!(concat!("../../shaders/", $path)), tensor: None };)*
        /// Every WGSL file of the library.
        #[cfg(test)]
        pub(crate) const ALL: &[Part] = &[$($name),*];
    };
}

parts! {
    // The steps.
    STATISTICS = "statistics.wgsl",
    FINALIZE = "finalize.wgsl",
    RUNNING_STATS = "running_stats.wgsl",
    NORMALIZE = "normalize.wgsl",
    BACKWARD_REDUCE = "backward_reduce.wgsl",
    BACKWARD_FINALIZE = "backward_finalize.wgsl",
    BACKWARD_APPLY = "backward_apply.wgsl",
    DOUBLE_BACKWARD_REDUCE = "double_backward_reduce.wgsl",
    DOUBLE_BACKWARD_FINALIZE = "double_backward_finalize.wgsl",
    DOUBLE_BACKWARD_APPLY = "double_backward_apply.wgsl",
    // Several steps in one kernel.
    FORWARD_RESIDENT = "forward_resident.wgsl",
    FORWARD_PIPELINED = "forward_pipelined.wgsl",
    BACKWARD_RESIDENT = "backward_resident.wgsl",
    BACKWARD_PIPELINED = "backward_pipelined.wgsl",
    // What several steps share.
    AGAIN = "shared/again.wgsl",
    ACROSS_ROWS = "shared/across_rows.wgsl",
    AFFINE = "shared/affine.wgsl",
    AFFINE_OF_PLANES = "shared/affine_of_planes.wgsl",
    APPLY_LOAD = "shared/apply_load.wgsl",
    APPLY_TILE = "shared/apply_tile.wgsl",
    CONCLUSION = "shared/conclusion.wgsl",
    CURSORS = "shared/cursors.wgsl",
    ENTRY = "shared/entry.wgsl",
    ENTRY_PIPELINED = "shared/entry_pipelined.wgsl",
    EXACT = "shared/exact.wgsl",
    HELD = "shared/held/one.wgsl",
    HELD_OF_TWO = "shared/held/two.wgsl",
    HYPERBOLIC_TANGENT = "shared/hyperbolic_tangent.wgsl",
    INVERSE_SQRT = "shared/inverse_sqrt.wgsl",
    KEEP_NAN = "shared/keep_nan.wgsl",
    LOAD_PAIR = "shared/load_pair.wgsl",
    LOGISTIC = "shared/logistic.wgsl",
    MEANS_OF_SUMS = "shared/means_of_sums.wgsl",
    MERGE = "shared/merge.wgsl",
    MERGE_ALONE = "shared/merge_alone.wgsl",
    MOMENTS_OF_TILE = "shared/moments_of_tile.wgsl",
    NORMALIZE_LOAD = "shared/normalize_load.wgsl",
    NORMALIZE_TILE = "shared/normalize_tile.wgsl",
    ONE_CHANNEL = "shared/one_channel.wgsl",
    PAIRS = "shared/pairs.wgsl",
    PARAMS = "shared/params.wgsl",
    PLANES = "shared/planes.wgsl",
    QUOTIENT = "shared/quotient.wgsl",
    RECORD_OF_TILE = "shared/record_of_tile.wgsl",
    RECORDS = "shared/records.wgsl",
    SETTLE_STATISTICS = "shared/settle_statistics.wgsl",
    SETTLE_GRADIENTS = "shared/settle_gradients.wgsl",
    SECOND_MEANS = "shared/second_means.wgsl",
    SECOND_PLANES = "shared/second_planes.wgsl",
    STATISTICS_OF_CHANNEL = "shared/statistics.wgsl",
    STATISTICS_OF_MOMENTS = "shared/statistics_of_moments.wgsl",
    STORE_PAIR = "shared/store_pair.wgsl",
    SUMS_OF_TILE = "shared/sums_of_tile.wgsl",
    TAKEN_BACK = "shared/taken_back.wgsl",
    TILE = "shared/tile.wgsl",
    UPDATE_RUNNING = "shared/update_running.wgsl",
    // The slots: one file of each folder.
    ACTIVATION_GELU = "shared/activation/gelu.wgsl",
    ACTIVATION_GELU_TANH = "shared/activation/gelu_tanh.wgsl",
    ACTIVATION_LEAKY_RELU = "shared/activation/leaky_relu.wgsl",
    ACTIVATION_RELU = "shared/activation/relu.wgsl",
    ACTIVATION_SIGMOID = "shared/activation/sigmoid.wgsl",
    ACTIVATION_SILU = "shared/activation/silu.wgsl",
    ACTIVATION_TANH = "shared/activation/tanh.wgsl",
    BIAS_GIVEN = "shared/bias/given.wgsl",
    BIAS_ZERO = "shared/bias/zero.wgsl",
    BLOCK_ALL = "shared/block/all.wgsl",
    BLOCK_MASKED = "shared/block/masked.wgsl",
    DBIAS_ADDED = "shared/dbias/added.wgsl",
    DBIAS_DISCARDED = "shared/dbias/discarded.wgsl",
    DBIAS_WRITTEN = "shared/dbias/written.wgsl",
    DDBIAS_GIVEN = "shared/ddbias/given.wgsl",
    DDBIAS_ZERO = "shared/ddbias/zero.wgsl",
    DDWEIGHT_GIVEN = "shared/ddweight/given.wgsl",
    DDWEIGHT_ZERO = "shared/ddweight/zero.wgsl",
    DRESIDUAL_DISCARDED = "shared/dresidual/discarded.wgsl",
    DRESIDUAL_WRITTEN = "shared/dresidual/written.wgsl",
    DSTATISTICS_DISCARDED = "shared/dstatistics/discarded.wgsl",
    DSTATISTICS_WRITTEN = "shared/dstatistics/written.wgsl",
    DWEIGHT_ADDED = "shared/dweight/added.wgsl",
    DWEIGHT_DISCARDED = "shared/dweight/discarded.wgsl",
    DWEIGHT_WRITTEN = "shared/dweight/written.wgsl",
    DX_BATCH_STATISTICS = "shared/dx/batch_statistics.wgsl",
    DX_CONSTANT_STATISTICS = "shared/dx/constant_statistics.wgsl",
    ELEMENT_BF16 = "shared/element/bf16.wgsl",
    ELEMENT_F16 = "shared/element/f16.wgsl",
    GRAD_WEIGHT_ADDED = "shared/grad_weight/added.wgsl",
    GRAD_WEIGHT_DISCARDED = "shared/grad_weight/discarded.wgsl",
    GRAD_WEIGHT_WRITTEN = "shared/grad_weight/written.wgsl",
    GRADIENT_OUTCOME_COEFFICIENTS = "shared/gradient_outcome/coefficients.wgsl",
    GRADIENT_OUTCOME_RECORD = "shared/gradient_outcome/record.wgsl",
    GROUP_RECORD_DROPPED = "shared/group_record/dropped.wgsl",
    GROUP_RECORD_KEPT = "shared/group_record/kept.wgsl",
    GROUPING_GHOST = "shared/grouping/ghost.wgsl",
    GROUPING_WHOLE = "shared/grouping/whole.wgsl",
    GUARD_FINITE = "shared/guard/finite.wgsl",
    GUARD_NONE = "shared/guard/none.wgsl",
    KEPT_GRADIENTS_CACHE = "shared/kept_gradients/cache.wgsl",
    KEPT_GRADIENTS_REGISTERS = "shared/kept_gradients/registers.wgsl",
    KEPT_X_CACHE = "shared/kept_x/cache.wgsl",
    KEPT_X_REGISTERS = "shared/kept_x/registers.wgsl",
    CHANNELS_FIRST = "shared/layout/channels_first.wgsl",
    CHANNELS_LAST = "shared/layout/channels_last.wgsl",
    STRADDLING_ROWS = "shared/layout/straddling_rows.wgsl",
    ODD_ROWS = "shared/layout/odd_rows.wgsl",
    PER_CHANNEL = "shared/layout/per_channel.wgsl",
    MEANS_BATCH_STATISTICS = "shared/means/batch_statistics.wgsl",
    MEANS_CONSTANT_STATISTICS = "shared/means/constant_statistics.wgsl",
    CUMULATIVE = "shared/momentum/cumulative.wgsl",
    MOVING_AVERAGE = "shared/momentum/moving_average.wgsl",
    DOUBLE_GRAD_SUMS = "shared/monoid/double_grad_sums.wgsl",
    GRAD_SUMS = "shared/monoid/grad_sums.wgsl",
    LOAD_DOUBLE_GRAD_SUMS = "shared/monoid/load_double_grad_sums.wgsl",
    LOAD_GRAD_SUMS = "shared/monoid/load_grad_sums.wgsl",
    LOAD_MOMENTS = "shared/monoid/load_moments.wgsl",
    MOMENTS = "shared/monoid/moments.wgsl",
    MOMENTS_OF_BLOCK = "shared/monoid/moments_of_block.wgsl",
    STORE_DOUBLE_GRAD_SUMS = "shared/monoid/store_double_grad_sums.wgsl",
    STORE_GRAD_SUMS = "shared/monoid/store_grad_sums.wgsl",
    STORE_MOMENTS = "shared/monoid/store_moments.wgsl",
    ORDER_NONE = "shared/order/none.wgsl",
    ORDER_POST = "shared/order/post.wgsl",
    ORDER_PRE = "shared/order/pre.wgsl",
    OUTCOME_FOLDED = "shared/outcome/folded.wgsl",
    OUTCOME_RECORD = "shared/outcome/record.wgsl",
    OUTCOME_SAVED = "shared/outcome/saved.wgsl",
    OUTPUT_DX = "shared/output/dx.wgsl",
    OUTPUT_DX_OVER_DY = "shared/output/dx_over_dy.wgsl",
    OUTPUT_NONE = "shared/output/none.wgsl",
    OUTPUT_Y = "shared/output/y.wgsl",
    OUTPUT_Y_OVER_X = "shared/output/y_over_x.wgsl",
    OWN_HALF = "shared/own/half.wgsl",
    OWN_ROW = "shared/own/row.wgsl",
    PACKING_HALF_1 = "shared/packing/half_1.wgsl",
    PACKING_HALF_2 = "shared/packing/half_2.wgsl",
    PACKING_HALF_4 = "shared/packing/half_4.wgsl",
    PACKING_LONG_2 = "shared/packing/long_2.wgsl",
    PACKING_LONG_4 = "shared/packing/long_4.wgsl",
    PACKING_LONG_HALF_4 = "shared/packing/long_half_4.wgsl",
    PACKING_WHOLE = "shared/packing/whole.wgsl",
    PLANES_COEFFICIENTS = "shared/planes/coefficients.wgsl",
    PLANES_SAVED = "shared/planes/saved.wgsl",
    PLANES_SECOND = "shared/planes/second.wgsl",
    READ_NO_DY = "shared/read/no_dy.wgsl",
    READ_NO_X = "shared/read/no_x.wgsl",
    REDUCTION_NONE = "shared/reduction/none.wgsl",
    REDUCTION_TREE = "shared/reduction/tree.wgsl",
    RESIDUAL_ADDED = "shared/residual/added.wgsl",
    RESIDUAL_NONE = "shared/residual/none.wgsl",
    RUNNING_KEPT = "shared/running/kept.wgsl",
    RUNNING_UPDATED = "shared/running/updated.wgsl",
    SECOND_MEANS_BATCH_STATISTICS = "shared/second_means/batch_statistics.wgsl",
    SECOND_MEANS_CONSTANT_STATISTICS = "shared/second_means/constant_statistics.wgsl",
    SECOND_ORDER_BATCH_STATISTICS = "shared/second_order/batch_statistics.wgsl",
    SECOND_ORDER_CONSTANT_STATISTICS = "shared/second_order/constant_statistics.wgsl",
    SEGMENT_ALL = "shared/segment/all.wgsl",
    SEGMENT_MASK = "shared/segment/mask.wgsl",
    SEGMENT_MASK_ROW = "shared/segment/mask_row.wgsl",
    SEGMENT_ROW = "shared/segment/row.wgsl",
    SOURCE_BATCH = "shared/source/batch.wgsl",
    SOURCE_HELD = "shared/source/held.wgsl",
    SUBTRACT_OPAQUE = "shared/subtract/opaque.wgsl",
    SUBTRACT_PLAIN = "shared/subtract/plain.wgsl",
    SUMS_MERGED = "shared/sums/merged.wgsl",
    SUMS_OF_MOMENTS = "shared/sums/of_moments.wgsl",
    TENSOR_BEGUN = "shared/tensor/begun.wgsl",
    TENSOR_ELEMENTS = "shared/tensor/elements.wgsl",
    TENSOR_HALVES = "shared/tensor/halves.wgsl",
    TENSOR_WORDS = "shared/tensor/words.wgsl",
    VECTOR_1 = "shared/vector/1.wgsl",
    VECTOR_2 = "shared/vector/2.wgsl",
    VECTOR_4 = "shared/vector/4.wgsl",
    WEIGHT_GIVEN = "shared/weight/given.wgsl",
    WEIGHT_ONE = "shared/weight/one.wgsl",
}
