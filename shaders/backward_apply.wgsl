// backward_apply: dx from dy (and x); dresidual on the way.
// dy, x, residual, dx, dresidual: the part's vectors; coefficients: planes of backward_finalize.
// Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    var means: array<Means, STRIPS>;
    for (var strip = 0u; strip < STRIPS; strip++) { // unroll
        means[strip] = means_of(strip_of(place, strip));
    }
    apply_tile(place, affines_of(place), means);
}
