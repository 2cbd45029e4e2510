// Of a block without a mask, the first `loads` loads count.
fn count_of_block(seen: array<Seen, UNROLL>, loads: u32) -> u32 { return min(loads, UNROLL) * LANE_VALUES; }
fn pivot_of_block(values: array<Vector, UNROLL>, seen: array<Seen, UNROLL>) -> Channel { return pivot(values[0u]); }
