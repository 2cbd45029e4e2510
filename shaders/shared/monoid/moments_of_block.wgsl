// The moments of what a lane has just loaded and sees, by two passes over registers. All is taken
// relative to one of the values, so a large mean costs nothing; that it may be an outlier costs nothing
// either: the second pass is relative to the block's mean.
fn moments_of_block(values: array<Vector, UNROLL>, seen: array<Seen, UNROLL>, loads: u32) -> Moments {
    let shift = pivot_of_block(values, seen);
    var sum = Vector(0.0);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        sum += select(Vector(0.0), values[k] - spread(shift), seen[k]);
    }
    let count = count_of_block(seen, loads);
    let mean = gather(sum) / f32(max(count, 1u));
    var m2 = Vector(0.0);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        let distance = subtract(values[k], spread(shift), spread(mean));
        m2 += select(Vector(0.0), distance * distance, seen[k]);
    }
    let exact = two_sum(shift, mean);
    return Moments(count, 0u, exact.hi, exact.lo, gather(m2));
}
