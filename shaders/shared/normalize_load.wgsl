// y = activation(((x − mean_hi) − mean_lo) · γ/σ + β + residual) of one load.
fn normalize_load(x: Vector, residual: Residual, a: Affine, here: Cursor) {
    let z = add_residual(affine(center(enter(x), a, here), a, here), residual);
    write(here, show(leave(z), seen_at(here, true)));
}
