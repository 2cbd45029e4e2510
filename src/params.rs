//! The uniform block of every kernel.

use bytemuck::{Pod, Zeroable};

/// What one dispatch needs to know of the tensors; its twin is `Params` in `shaders/shared/params.wgsl`,
/// which says what each field means. A test compares the two by naga's reflection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub(crate) struct Params {
    pub(crate) base: u32,
    pub(crate) first_channel: u32,
    pub(crate) channels: u32,
    pub(crate) positions: u32,
    pub(crate) row_length: u32,
    pub(crate) inverse_row_length: f32,
    pub(crate) sample_stride: u32,
    pub(crate) step_index: u32,
    pub(crate) step_column: u32,
    pub(crate) wrap_from: u32,
    pub(crate) wrap_index: u32,
    pub(crate) wrap_column: u32,
    pub(crate) grid_width: u32,
    pub(crate) channel_tiles: u32,
    pub(crate) first_split: u32,
    pub(crate) all_channels: u32,
    pub(crate) splits: u32,
    pub(crate) count: u32,
    pub(crate) zero: u32,
    pub(crate) epsilon: f32,
    pub(crate) momentum: f32,
    pub(crate) keep: f32,
    pub(crate) unbias: f32,
    pub(crate) padding: u32,
}

impl Params {
    /// The fields in order, for the comparison with the shader.
    #[cfg(test)]
    pub(crate) const FIELDS: [&'static str; 24] = [
        "base",
        "first_channel",
        "channels",
        "positions",
        "row_length",
        "inverse_row_length",
        "sample_stride",
        "step_index",
        "step_column",
        "wrap_from",
        "wrap_index",
        "wrap_column",
        "grid_width",
        "channel_tiles",
        "first_split",
        "all_channels",
        "splits",
        "count",
        "zero",
        "epsilon",
        "momentum",
        "keep",
        "unbias",
        "padding",
    ];
}
