// The moments of what a lane has just loaded, of which the first `loads` exist, by two passes over
// registers. All is taken relative to one of the values, so a large mean costs nothing; that it may be
// an outlier costs nothing either: the second pass is relative to the block's mean.
fn moments_of_block(values: array<Vector, UNROLL>, loads: u32) -> Moments {
    let shift = pivot(values[0u]);
    var sum = Vector(0.0);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        sum += select(Vector(0.0), values[k] - spread(shift), k < loads);
    }
    let count = min(loads, UNROLL) * LANE_VALUES;
    let mean = gather(sum) / f32(max(count, 1u));
    var m2 = Vector(0.0);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        let distance = subtract(values[k], spread(shift), spread(mean));
        m2 += select(Vector(0.0), distance * distance, k < loads);
    }
    let exact = two_sum(shift, mean);
    return Moments(count, exact.hi, exact.lo, gather(m2));
}
