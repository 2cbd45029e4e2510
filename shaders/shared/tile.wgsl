// Which part of the work one lane has. COLUMNS lanes lie side by side along the channels, ROWS along
// the positions (or the records to merge), so that neighbouring lanes touch neighbouring memory. A
// workgroup's tile is TILE positions long: each lane loads every ROWS-th, UNROLL at a time, BLOCKS
// times over. It is STRIPS times COLUMNS lane channels wide: a lane has one of each strip.
struct Place {
    exists: bool,     // whether the lane's channel does
    channel: u32,     // lane channel, counted from the part's first one
    plane_channel: u32, // its place in the arrays per channel; some other one's if it does not exist
    row: u32,
    group: u32,       // counted from the part's first one
    split: u32,       // which of the group's tiles, counted from the part's first one
    position: u32,    // of the lane's first load, counted from the group's first one
    loads: u32,       // how many of the lane's loads exist, from the first one on
}

// Channels go along x, and along z where x is too short; splits along y. No division is needed.
fn channel_tile_of(workgroup: vec3<u32>) -> u32 {
    return workgroup.z * params.grid_width + workgroup.x;
}

// Rows of tiles, in one order or the other: a step that reads what the step before has just read begins
// where that one ended, since this is what a cache still has.
fn tile_row_of(workgroup: vec3<u32>) -> u32 {
    return params.first_tile_row + workgroup.y * params.tile_row_step;
}

// The lane's place in a tile, which is that of some channels and of one row of tiles.
fn place_at(channel_tile: u32, tile_row: u32, lane: u32) -> Place {
    let row = lane / COLUMNS;
    let channel = channel_tile * (STRIPS * COLUMNS) + lane % COLUMNS;
    let exists = channel < params.channels;
    let plane_channel = params.first_channel + select(0u, channel, exists);
    let group = group_of(tile_row);
    let split = tile_row - group * params.part_splits;
    let position = split * TILE + row;
    let positions = select(params.positions, params.last_positions, group + 1u == params.groups);
    let left = select(0u, positions - min(position, positions), exists);
    return Place(exists, channel, plane_channel, row, group, split, position, (left + (ROWS - 1u)) / ROWS);
}

// The lane's place in one of its strips, all of which exist if the first one does.
fn strip_of(place: Place, strip: u32) -> Place {
    var there = place;
    there.channel += strip * COLUMNS;
    there.plane_channel += strip * COLUMNS;
    return there;
}

// The loads that are left when a lane begins a block.
fn loads_left(loads: u32, block: u32) -> u32 {
    return loads - min(loads, block * UNROLL);
}
