// backward_reduce: x, dy → one GradSums {Σdy, Σdy·x̂} record for each (channel, group, split); dy is taken
// back through the activation first.
// x, dy, residual: the part's vectors; saved: planes of finalize; records: planes of C, see records.wgsl.
// Dispatch: one workgroup a tile.
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

fn run(place: Place, lane: u32) {
    let a = affine_of(place);
    let inv_std = held(INV_STD, place);
    var cursor = seek(place);
    var sums = identity();
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        let loaded = load_block(&cursor, loads);
        var sum_dy = Vector(0.0);
        var sum_dy_x = Vector(0.0);
        for (var k = 0u; k < UNROLL; k++) { // unroll
            let seen = seen_at(loaded[k].here, k < loads);
            let back = take_back(loaded[k], a);
            sum_dy += select(Vector(0.0), back.dy, seen);
            sum_dy_x += select(Vector(0.0), back.dy * back.centered, seen);
        }
        sums = combine(sums, GradSums(pair_of(gather(sum_dy)), pair_of(gather(sum_dy_x) * inv_std)));
    }
    leave_record(sums, place, lane);
}
