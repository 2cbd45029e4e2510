// What one dispatch needs to know of the tensors. Its twin is `Params` in src/params.rs.
//
// "Vectors" are WIDTH elements; a "lane channel" is what one lane holds of the channel axis: one
// channel if the channels come first, WIDTH of them if they come last.
struct Params {
    // The big tensors, as far as this dispatch is bound to them.
    base: u32,              // vectors before the first one of the part
    first_channel: u32,     // lane channels before the first one of the part
    channels: u32,          // lane channels of the part
    positions: u32,         // positions of one lane channel in the part
    row_length: u32,        // vectors that lie side by side: of one channel, or of one position
    inverse_row_length: f32,
    sample_stride: u32,     // vectors from one sample's row to the next
    // From one load of a lane to its next, ROWS positions further: without and with a wrap.
    step_index: u32,        // vectors
    step_column: u32,       // columns of the row
    wrap_from: u32,         // first column from which the step leaves the row
    wrap_index: u32,
    wrap_column: u32,
    // The grid.
    grid_width: u32,        // workgroups in x
    channel_tiles: u32,     // workgroups that it takes to cover the channels, in x and z
    first_split: u32,       // splits of the parts before this one
    // Per channel.
    all_channels: u32,      // C
    splits: u32,            // records to merge for each channel
    count: u32,             // N·S, values of one channel
    zero: u32,              // 0, unknown to the compiler: see exact.wgsl
    epsilon: f32,
    momentum: f32,          // weight of the new batch in the running statistics
    keep: f32,              // 1 − momentum
    unbias: f32,            // N·S / (N·S − 1)
    padding: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
