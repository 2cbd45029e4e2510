// The moments of what a lane has of a tile: of UNROLL loads at a time, merged.
fn moments_of_tile(place: Place) -> array<Moments, STRIPS> {
    var cursors = cursors_of(place);
    var moments: array<Moments, STRIPS>;
    var lost: array<Channel, STRIPS>;
    for (var strip = 0u; strip < STRIPS; strip++) { // unroll
        moments[strip] = identity();
    }
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        for (var strip = 0u; strip < STRIPS; strip++) { // unroll
            var values: array<Vector, UNROLL>;
            var seen: array<Seen, UNROLL>;
            for (var k = 0u; k < UNROLL; k++) { // unroll
                let here = or_first(cursors[strip], k < loads);
                values[k] = enter(read_x(here.index));
                seen[k] = seen_at(here, k < loads);
                cursors[strip] = advance(cursors[strip]);
            }
            var lost_here = lost[strip];
            moments[strip] = combine_keeping(moments[strip], moments_of_block(values, seen, loads), &lost_here);
            lost[strip] = lost_here;
        }
    }
    for (var strip = 0u; strip < STRIPS; strip++) { // unroll
        moments[strip].m2 += lost[strip];
    }
    return moments;
}
