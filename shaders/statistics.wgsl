// statistics: x → one Moments record for each (channel, split).
// x: the part's vectors; records: planes of C, see records.wgsl. Dispatch: one workgroup a tile.
// Every lane takes the moments of UNROLL loads at a time; lanes of one column are merged by reduce().
@group(0) @binding(1) var<storage, read_write> x: array<Vector>;
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = tile_of(workgroup);
    if (tile >= params.tiles) { return; }
    let place = place_of(tile, lane);
    var position = place.split * TILE + place.row;
    var cursor = seek(place.channel, position);
    var moments = identity();
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        var values: array<Vector, UNROLL>;
        var valid: array<bool, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            valid[k] = place.exists && position < params.positions;
            values[k] = x[select(0u, cursor.index, valid[k])];
            cursor = advance(cursor);
            position += ROWS;
        }
        moments = combine(moments, moments_of_block(values, valid));
    }
    let total = reduce(moments, lane);
    if (place.exists && place.row == 0u) {
        store(params.first_split + place.split, params.first_channel + place.channel, total);
    }
}
