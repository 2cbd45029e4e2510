// backward_apply: dx from dy (and x); dresidual on the way.
// dy, x, residual, dx, dresidual: the part's vectors; coefficients: planes of backward_finalize.
// Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    apply_tile(place, affine_of(place), means_of(place));
}
