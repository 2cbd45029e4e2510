// normalize: y = activation(((x − mean_hi) − mean_lo) · γ/σ + β + residual).
// x, y, residual: the part's vectors; saved: planes of finalize. Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    let a = affine_of(place);
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
                let z = add_residual(affine(center(enter(xs[k]), a, here[k]), a, here[k]), residuals[k]);
                write(here[k].index, show(leave(z), seen_at(here[k], true)));
            }
        }
    }
}
