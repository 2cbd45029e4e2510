// Which part of the work one lane has. COLUMNS lanes lie side by side along the channels, ROWS along
// the positions (or the records to merge); a workgroup's tile is ROWS · UNROLL · BLOCKS positions long.
struct Place {
    exists: bool,     // whether the lane's channel does
    channel: u32,     // lane channel, counted from the part's first one
    row: u32,
    column: u32,
    split: u32,       // which of the channel's tiles, counted from the part's first one
}

fn tile_of(workgroup: vec3<u32>) -> u32 {
    return workgroup.y * params.grid_width + workgroup.x;
}

fn place_of(tile: u32, lane: u32) -> Place {
    let split = tile / params.channel_tiles;
    let column = lane % COLUMNS;
    let channel = (tile - split * params.channel_tiles) * COLUMNS + column;
    return Place(channel < params.channels, channel, lane / COLUMNS, column, split);
}
