// What backward_apply does with the loads of a lane.
fn apply_tile(place: Place, affines: array<Affine, STRIPS>, means: array<Means, STRIPS>) {
    var cursors = cursors_of(place);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        for (var strip = 0u; strip < STRIPS; strip++) { // unroll
            var cursor = cursors[strip];
            let loaded = load_block(&cursor, loads);
            cursors[strip] = cursor;
            for (var k = 0u; k < UNROLL; k++) { // unroll
                if (k < loads) {
                    apply_load(loaded[k], affines[strip], means[strip]);
                }
            }
        }
    }
}
