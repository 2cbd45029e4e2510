// The moments of what a lane has of a tile: of UNROLL loads at a time, merged.
fn moments_of_tile(place: Place) -> Moments {
    var cursor = seek(place);
    var moments = identity();
    var lost = Channel(0.0);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        var values: array<Vector, UNROLL>;
        var seen: array<Seen, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            let here = or_first(cursor, k < loads);
            values[k] = enter(read_x(here.index));
            seen[k] = seen_at(here, k < loads);
            cursor = advance(cursor);
        }
        moments = combine_keeping(moments, moments_of_block(values, seen, loads), &lost);
    }
    moments.m2 += lost;
    return moments;
}
