// backward_reduce: x, dy → one GradSums {Σdy, Σdy·x̂} record for each (channel, split).
// x, dy: the part's vectors; saved: planes of finalize; records: planes of C. Dispatch: one workgroup a tile.
@group(0) @binding(1) var<storage, read_write> x: array<Vector>;
@group(0) @binding(3) var<storage, read_write> dy: array<Vector>;
@group(0) @binding(10) var<storage, read_write> saved: array<Channel>;
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    let channel = params.first_channel + select(0u, place.channel, place.exists);
    let mean_hi = spread(saved[plane(0u, channel)]);
    let mean_lo = spread(saved[plane(1u, channel)]);
    let inv_std = saved[plane(3u, channel)];
    var cursor = seek(place.channel, place.position);
    var sums = identity();
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        var xs: array<Vector, UNROLL>;
        var dys: array<Vector, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            let index = select(0u, cursor.index, k < loads);
            xs[k] = x[index];
            dys[k] = dy[index];
            cursor = advance(cursor);
        }
        var sum_dy = Vector(0.0);
        var sum_dy_x = Vector(0.0);
        for (var k = 0u; k < UNROLL; k++) { // unroll
            sum_dy += select(Vector(0.0), dys[k], k < loads);
            sum_dy_x += select(Vector(0.0), dys[k] * subtract(xs[k], mean_hi, mean_lo), k < loads);
        }
        let none = Channel(0.0);
        sums = combine(sums, GradSums(Pair(gather(sum_dy), none), Pair(gather(sum_dy_x) * inv_std, none)));
    }
    let total = reduce(sums, lane);
    if (place.exists && place.row == 0u) {
        store(params.first_split + place.split, channel, total);
    }
}
