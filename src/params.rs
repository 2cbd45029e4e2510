//! The uniform block of every kernel.

use bytemuck::{Pod, Zeroable};

macro_rules! params {
    ($($name:ident: $type:ty),* $(,)?) => {
        /// What one dispatch needs to know of the tensors; its twin is `Params` in
        /// `shaders/shared/params.wgsl`, which says what each field means. A test compares the two by
        /// naga's reflection.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
        pub(crate) struct Params { $(pub(crate) $name: $type),* }

        impl Params {
            /// The fields in order, for the comparison with the shader.
            #[cfg(test)]
            pub(crate) const FIELDS: &'static [&'static str] = &[$(stringify!($name)),*];
        }
    };
}

params! {
    base: u32,
    first_channel: u32,
    channels: u32,
    positions: u32,
    last_positions: u32,
    row_length: u32,
    inverse_row_length: f32,
    sample_stride: u32,
    step_index: u32,
    step_column: u32,
    wrap_from: u32,
    wrap_index: u32,
    wrap_column: u32,
    groups: u32,
    first_group: u32,
    all_groups: u32,
    group_stride: u32,
    row_elements: u32,
    part_row_elements: u32,
    step_samples: u32,
    group_length: u32,
    mask_base: u32,
    grid_width: u32,
    channel_tiles: u32,
    first_tile_row: u32,
    tile_row_step: u32,
    first_run_tile: u32,
    first_run_tiles: u32,
    second_run_tile: u32,
    second_run_tiles: u32,
    part_splits: u32,
    first_split: u32,
    all_channels: u32,
    splits: u32,
    last_splits: u32,
    zero: u32,
    epsilon: f32,
    momentum: f32,
    keep: f32,
    negative_slope: f32,
}
