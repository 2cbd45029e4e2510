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
    row_length: u32,        // vectors of one channel that lie side by side
    sample_stride: u32,     // vectors from one sample's row to the next
    step_index: u32,        // vectors that ROWS positions advance, before a wrap
    step_column: u32,       // columns that ROWS positions advance, before a wrap
    // The grid.
    grid_width: u32,        // workgroups in x
    tiles: u32,             // workgroups that have work
    channel_tiles: u32,     // workgroups side by side along the channels
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
}
@group(0) @binding(0) var<uniform> params: Params;
