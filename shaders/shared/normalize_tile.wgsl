// What normalize does with the loads of a lane.
fn normalize_tile(place: Place, affines: array<Affine, STRIPS>) {
    var cursors = cursors_of(place);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        for (var strip = 0u; strip < STRIPS; strip++) { // unroll
            var here: array<Cursor, UNROLL>;
            var xs: array<Vector, UNROLL>;
            var residuals: array<Residual, UNROLL>;
            for (var k = 0u; k < UNROLL; k++) { // unroll
                here[k] = or_first(cursors[strip], k < loads);
                xs[k] = read_x(here[k].index);
                residuals[k] = read_residual(here[k].index);
                cursors[strip] = advance(cursors[strip]);
            }
            for (var k = 0u; k < UNROLL; k++) { // unroll
                if (k < loads) {
                    normalize_load(xs[k], residuals[k], affines[strip], here[k]);
                }
            }
        }
    }
}
