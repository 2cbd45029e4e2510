// backward_apply: dx from dy (and x), by the formula of the slot dx/.
// dy, x, dx: the part's vectors; coefficients: planes of backward_finalize. Dispatch: one workgroup a tile.
@group(0) @binding(3) var<storage, read_write> dy: array<Vector>;
@group(0) @binding(11) var<storage, read_write> coefficients: array<Channel>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    let c = coefficients_of(params.first_channel + select(0u, place.channel, place.exists));
    var cursor = seek(place.channel, place.position);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        var loaded: array<Loaded, UNROLL>;
        var index: array<u32, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            index[k] = select(0u, cursor.index, k < loads);
            loaded[k] = read(index[k]);
            cursor = advance(cursor);
        }
        for (var k = 0u; k < UNROLL; k++) { // unroll
            if (k < loads) {
                write(index[k], input_gradient(loaded[k], c));
            }
        }
    }
}
