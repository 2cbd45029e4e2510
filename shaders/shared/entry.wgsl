// The entry point of every kernel, which defines run().
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    run(place_at(channel_tile_of(workgroup), tile_row_of(workgroup), lane), lane);
}
