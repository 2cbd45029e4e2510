// Which part of the work one lane has. COLUMNS lanes lie side by side along the channels, ROWS along
// the positions (or the records to merge), so that neighbouring lanes touch neighbouring memory. A
// workgroup's tile is TILE positions long: each lane loads every ROWS-th, UNROLL at a time, BLOCKS
// times over.
struct Place {
    exists: bool,     // whether the lane's channel does
    channel: u32,     // lane channel, counted from the part's first one
    row: u32,
    split: u32,       // which of the channel's tiles, counted from the part's first one
    position: u32,    // of the lane's first load
    loads: u32,       // how many of the lane's loads exist, from the first one on
}

// Channels go along x, and along z where x is too short; splits along y. No division is needed.
fn channel_tile_of(workgroup: vec3<u32>) -> u32 {
    return workgroup.z * params.grid_width + workgroup.x;
}

fn place_of(workgroup: vec3<u32>, lane: u32) -> Place {
    let row = lane / COLUMNS;
    let channel = channel_tile_of(workgroup) * COLUMNS + lane % COLUMNS;
    let exists = channel < params.channels;
    let position = workgroup.y * TILE + row;
    let left = select(0u, params.positions - min(position, params.positions), exists);
    return Place(exists, channel, row, workgroup.y, position, (left + (ROWS - 1u)) / ROWS);
}

// The loads that are left when a lane begins a block.
fn loads_left(loads: u32, block: u32) -> u32 {
    return loads - min(loads, block * UNROLL);
}
