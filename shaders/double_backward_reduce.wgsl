// double_backward_reduce: x, dy, ddx → one DoubleGradSums record for each (channel, group, split).
// x, dy, ddx: the part's vectors; saved: planes of finalize; records: planes of C, see records.wgsl.
// Dispatch: one workgroup a tile.
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

fn run(place: Place, lane: u32) {
    let a = affine_of(place);
    let inv_std = spread(held(INV_STD, place));
    var cursor = seek(place);
    var sums = identity();
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        for (var k = 0u; k < UNROLL; k++) { // unroll
            let here = or_first(cursor, k < loads);
            let seen = seen_at(here, k < loads);
            let x_hat = center(read_x(here.index), a, here) * inv_std;
            let g = read_dy(here.index);
            let v = read_ddx(here.index);
            let none = Vector(0.0);
            sums = combine(sums, DoubleGradSums(
                pair_of(gather(select(none, g, seen))),
                pair_of(gather(select(none, g * x_hat, seen))),
                pair_of(gather(select(none, v, seen))),
                pair_of(gather(select(none, v * x_hat, seen))),
                pair_of(gather(select(none, g * v, seen))),
            ));
            cursor = advance(cursor);
        }
    }
    leave_record(sums, place, lane);
}
