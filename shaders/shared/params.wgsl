// What one dispatch needs to know of the tensors. Its twin is `Params` in src/params.rs.
//
// "Vectors" are WIDTH elements; a "lane channel" is what one lane holds of the channel axis: one
// channel if the channels come first, WIDTH of them if they come last.
struct Params {
    // The big tensors, as far as this dispatch is bound to them.
    base: u32,              // vectors of the binding before the first one of the part
    first_channel: u32,     // lane channels before the first one of the part
    channels: u32,          // lane channels of the part
    positions: u32,         // positions of one lane channel in each group of the part
    last_positions: u32,    // the same in the last group of the part, which may be shorter
    row_length: u32,        // vectors that lie side by side: of one channel, or of one position
    inverse_row_length: f32,
    sample_stride: u32,     // vectors from one sample's row to the next
    // From one load of a lane to its next, ROWS positions further: without and with a wrap.
    step_index: u32,        // vectors
    step_column: u32,       // columns of the row
    wrap_from: u32,         // first column from which the step leaves the row
    wrap_index: u32,
    wrap_column: u32,
    // Groups of samples that share statistics: one, or the ghost batches.
    groups: u32,            // of the part, or of the dispatch in the kernels per channel
    first_group: u32,       // groups before the first one of these
    all_groups: u32,        // of the batch
    group_stride: u32,      // vectors from one group to the next
    // Odd rows, where base and sample_stride count elements, and row_length the vectors that have some of a row, or
    // that begin in one (layout/straddling_rows.wgsl).
    row_elements: u32,      // of a whole row
    part_row_elements: u32, // of what the part has of a row
    step_samples: u32,      // samples from one load of a lane to its next, without a wrap
    group_length: u32,      // samples of a group
    mask_base: u32,         // positions (with odd rows entries) of the mask's binding before the part's first one
    // The grid.
    grid_width: u32,        // workgroups in x
    channel_tiles: u32,     // workgroups that it takes to cover the channels, in x and z
    first_tile_row: u32,    // of the first row of workgroups, and from one to the next: 1 or −1
    tile_row_step: u32,
    first_run_tile: u32,    // pipelined kernels: channel tiles that are reduced, from which on
    first_run_tiles: u32,
    second_run_tile: u32,   // the same for those that are written
    second_run_tiles: u32,
    part_splits: u32,       // tiles of one group in this part, along y
    first_split: u32,       // splits of the parts of the same group before this one
    // Per channel.
    all_channels: u32,      // C
    splits: u32,            // records to merge for each channel and group
    last_splits: u32,       // the same for the last group
    zero: u32,              // 0, unknown to the compiler: see exact.wgsl
    epsilon: f32,
    momentum: f32,          // weight of the new batch in the running statistics
    keep: f32,              // 1 − momentum
    negative_slope: f32,    // of a leaky ReLU
}
@group(0) @binding(0) var<uniform> params: Params;
