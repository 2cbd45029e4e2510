// backward_reduce: x, dy → one GradSums {Σdy, Σdy·x̂} record for each (channel, split).
// x, dy: the part's vectors; saved: planes of finalize; records: planes of C. Dispatch: one workgroup a tile.
@group(0) @binding(1) var<storage, read_write> x: array<Vector>;
@group(0) @binding(3) var<storage, read_write> dy: array<Vector>;
@group(0) @binding(10) var<storage, read_write> saved: array<Channel>;
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = tile_of(workgroup);
    if (tile >= params.tiles) { return; }
    let place = place_of(tile, lane);
    let channel = params.first_channel + select(0u, place.channel, place.exists);
    let mean_hi = spread(saved[plane(0u, channel)]);
    let mean_lo = spread(saved[plane(1u, channel)]);
    let inv_std = saved[plane(3u, channel)];
    var position = place.split * TILE + place.row;
    var cursor = seek(place.channel, position);
    var sums = identity();
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        var xs: array<Vector, UNROLL>;
        var dys: array<Vector, UNROLL>;
        var valid: array<bool, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            valid[k] = place.exists && position < params.positions;
            let index = select(0u, cursor.index, valid[k]);
            xs[k] = x[index];
            dys[k] = dy[index];
            cursor = advance(cursor);
            position += ROWS;
        }
        var sum_dy = Vector(0.0);
        var sum_dy_x = Vector(0.0);
        for (var k = 0u; k < UNROLL; k++) { // unroll
            sum_dy += select(Vector(0.0), dys[k], valid[k]);
            sum_dy_x += select(Vector(0.0), dys[k] * ((xs[k] - mean_hi) - mean_lo), valid[k]);
        }
        let none = Channel(0.0);
        sums = combine(sums, GradSums(Pair(gather(sum_dy), none), Pair(gather(sum_dy_x) * inv_std, none)));
    }
    let total = reduce(sums, lane);
    if (place.exists && place.row == 0u) {
        store(params.first_split + place.split, channel, total);
    }
}
