// statistics: x → one Moments record for each (channel, group, split).
// x: the part's vectors; records: planes of C, see records.wgsl. Dispatch: one workgroup a tile.
// Every lane takes the moments of UNROLL loads at a time; lanes of one column are merged by reduce().
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

fn run(place: Place, lane: u32) {
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
    leave_record(moments, place, lane);
}
