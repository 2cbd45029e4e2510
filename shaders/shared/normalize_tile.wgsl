// What normalize does with the loads of a lane.
fn normalize_tile(place: Place, a: Affine) {
    var cursor = seek(place);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        var here: array<Cursor, UNROLL>;
        var xs: array<Vector, UNROLL>;
        var residuals: array<Residual, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            here[k] = or_first(cursor, k < loads);
            xs[k] = read_x(here[k].index);
            residuals[k] = read_residual(here[k].index);
            cursor = advance(cursor);
        }
        for (var k = 0u; k < UNROLL; k++) { // unroll
            if (k < loads) {
                normalize_load(xs[k], residuals[k], a, here[k]);
            }
        }
    }
}
