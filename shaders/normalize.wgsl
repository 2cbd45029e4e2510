// normalize: y = ((x − mean_hi) − mean_lo) · γ/σ + β.
// x, y: the part's vectors; coefficients: planes of finalize. Dispatch: one workgroup a tile.
@group(0) @binding(1) var<storage, read_write> x: array<Vector>;
@group(0) @binding(11) var<storage, read_write> coefficients: array<Channel>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    let channel = params.first_channel + select(0u, place.channel, place.exists);
    let mean_hi = spread(coefficients[plane(0u, channel)]);
    let mean_lo = spread(coefficients[plane(1u, channel)]);
    let scale = spread(coefficients[plane(2u, channel)]);
    let offset = spread(coefficients[plane(3u, channel)]);
    var cursor = seek(place.channel, place.position);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        var values: array<Vector, UNROLL>;
        var index: array<u32, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            index[k] = select(0u, cursor.index, k < loads);
            values[k] = x[index[k]];
            cursor = advance(cursor);
        }
        for (var k = 0u; k < UNROLL; k++) { // unroll
            if (k < loads) {
                write(index[k], subtract(values[k], mean_hi, mean_lo) * scale + offset);
            }
        }
    }
}
