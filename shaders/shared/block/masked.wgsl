// Of a masked block, what is shown counts; the pivot must be one of these, since the rest may be NaN.
fn count_of_block(seen: array<Seen, UNROLL>, loads: u32) -> u32 {
    var count = 0u;
    for (var k = 0u; k < UNROLL; k++) { // unroll
        count += count_shown(seen[k]);
    }
    return count;
}

fn pivot_of_block(values: array<Vector, UNROLL>, seen: array<Seen, UNROLL>) -> Channel {
    var value = Vector(0.0);
    var shown = Shown(false);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        value = select(value, values[k], seen[k]);
        shown = shown | seen[k];
    }
    return shown_pivot(value, shown);
}
