// backward_reduce: x, dy → one GradSums {Σdy, Σdy·x̂} record for each (channel, group, split); dy is taken
// back through the activation first.
// x, dy, residual: the part's vectors; saved: planes of finalize; records: planes of C, see records.wgsl.
// Dispatch: one workgroup a tile.
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    let a = affine_of(place);
    let inv_std = held(INV_STD, place);
    var cursor = seek(place);
    var sums = identity();
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        var here: array<Cursor, UNROLL>;
        var xs: array<Vector, UNROLL>;
        var dys: array<Vector, UNROLL>;
        var residuals: array<Residual, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            here[k] = or_first(cursor, k < loads);
            xs[k] = read_x(here[k].index);
            dys[k] = read_dy(here[k].index);
            residuals[k] = read_residual(here[k].index);
            cursor = advance(cursor);
        }
        var sum_dy = Vector(0.0);
        var sum_dy_x = Vector(0.0);
        for (var k = 0u; k < UNROLL; k++) { // unroll
            let seen = seen_at(here[k], k < loads);
            let centered = center(enter(xs[k]), a, here[k]);
            let g = gradient_of_output(dys[k], add_residual(affine(centered, a, here[k]), residuals[k]));
            sum_dy += select(Vector(0.0), g, seen);
            sum_dy_x += select(Vector(0.0), g * centered, seen);
        }
        sums = combine(sums, GradSums(pair_of(gather(sum_dy)), pair_of(gather(sum_dy_x) * inv_std)));
    }
    let total = reduce(sums, lane);
    if (place.exists && place.row == 0u) {
        store(record_of(place), place.plane_channel, total);
    }
}
