// double_backward_reduce: x, dy, ddx → one DoubleGradSums record for each (channel, group, split).
// x, dy, ddx: the part's vectors; saved: planes of finalize; records: planes of C, see records.wgsl.
// Dispatch: one workgroup a tile. Every lane takes the sums of UNROLL loads at a time, relative to their means.
fn run(place: Place, lane: u32) {
    leave_record(second_sums_of_tile(place), place, lane);
}

fn second_sums_of_tile(place: Place) -> DoubleGradSums {
    let a = affine_of(place);
    let inv_std = spread(held(INV_STD, place));
    var cursor = seek(place);
    var sums = identity();
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        var x_hats: array<Vector, UNROLL>;
        var dys: array<Vector, UNROLL>;
        var ddxs: array<Vector, UNROLL>;
        var seen: array<Seen, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            let here = or_first(cursor, k < loads);
            x_hats[k] = center(read_x(here.index), a, here) * inv_std;
            dys[k] = read_dy(here.index);
            ddxs[k] = read_ddx(here.index);
            seen[k] = seen_at(here, k < loads);
            cursor = advance(cursor);
        }
        sums = combine(sums, sums_of_block(x_hats, dys, ddxs, seen, loads));
    }
    return sums;
}

// What is left of a value without the mean of the block, and nothing of a position that does not count.
fn left_of(v: Vector, shift: Channel, mean: Channel, seen: Seen) -> Vector {
    return select(Vector(0.0), (v - spread(shift)) - spread(mean), seen);
}

fn sums_of_block(
    x_hats: array<Vector, UNROLL>, dys: array<Vector, UNROLL>, ddxs: array<Vector, UNROLL>, seen: array<Seen, UNROLL>,
    loads: u32,
) -> DoubleGradSums {
    let count = count_of_block(seen, loads);
    let dy_shift = pivot_of_block(dys, seen);
    let ddx_shift = pivot_of_block(ddxs, seen);
    var dy = Vector(0.0);
    var ddx = Vector(0.0);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        dy += left_of(dys[k], dy_shift, Channel(0.0), seen[k]);
        ddx += left_of(ddxs[k], ddx_shift, Channel(0.0), seen[k]);
    }
    let dy_mean = gather(dy) / f32(max(count, 1u));
    let ddx_mean = gather(ddx) / f32(max(count, 1u));
    var dy_ddx = Vector(0.0);
    var dy_x_hat = Vector(0.0);
    var ddx_x_hat = Vector(0.0);
    var x_hat = Vector(0.0);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        let g = left_of(dys[k], dy_shift, dy_mean, seen[k]);
        let v = left_of(ddxs[k], ddx_shift, ddx_mean, seen[k]);
        let x = select(Vector(0.0), x_hats[k], seen[k]);
        dy_ddx += g * v;
        dy_x_hat += g * x;
        ddx_x_hat += v * x;
        x_hat += x;
    }
    return DoubleGradSums(
        count, two_sum(dy_shift, dy_mean), two_sum(ddx_shift, ddx_mean),
        pair_of(gather(dy_ddx)), pair_of(gather(dy_x_hat)), pair_of(gather(ddx_x_hat)), gather(x_hat),
    );
}
