// normalize: y = activation(γ·x̂ + β + residual).
// x, y, residual: the part's vectors; saved: planes of finalize. Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    normalize_tile(place, affines_of(place));
}
