// The moments of the values a lane has just loaded, by two passes over registers. All are taken
// relative to one of them, so a large mean costs nothing; that it may be an outlier costs nothing
// either: the second pass is relative to the block's mean.
fn moments_of_block(values: array<Vector, UNROLL>, valid: array<bool, UNROLL>) -> Moments {
    let shift = pivot(values[0u]);
    var sum = Vector(0.0);
    var count = 0u;
    for (var k = 0u; k < UNROLL; k++) { // unroll
        sum += select(Vector(0.0), values[k] - spread(shift), valid[k]);
        count += select(0u, LANE_VALUES, valid[k]);
    }
    let mean = gather(sum) / f32(max(count, 1u));
    var m2 = Vector(0.0);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        let distance = (values[k] - spread(shift)) - spread(mean);
        m2 += select(Vector(0.0), distance * distance, valid[k]);
    }
    let exact = two_sum(shift, mean);
    return Moments(count, exact.hi, exact.lo, gather(m2));
}
