// What backward_apply does with the loads of a lane.
fn apply_tile(place: Place, a: Affine, means: Means) {
    var cursor = seek(place);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        let loaded = load_block(&cursor, loads);
        for (var k = 0u; k < UNROLL; k++) { // unroll
            if (k < loads) {
                apply_load(loaded[k], a, means);
            }
        }
    }
}
