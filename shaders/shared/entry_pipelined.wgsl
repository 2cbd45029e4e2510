// The entry point of the kernels that reduce one run of channels and write another: their workgroups take
// turns as long as both last, so that both are under way at any time.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = channel_tile_of(workgroup);
    if (i >= params.channel_tiles) { return; }
    let both = 2u * min(params.first_run_tiles, params.second_run_tiles);
    let is_first = select(params.first_run_tiles > params.second_run_tiles, (i & 1u) == 0u, i < both);
    let tile = select(i - both / 2u, i / 2u, i < both);
    if (is_first) {
        run_first(place_at(params.first_run_tile + tile, workgroup.y, lane), lane);
    } else {
        run_second(place_at(params.second_run_tile + tile, tile_row_of(workgroup), lane), lane);
    }
}
