// What both backward passes begin with: x, dy and what was added, and dy taken back through the activation.
struct Loaded { here: Cursor, x: Vector, dy: Vector, residual: Residual }
struct TakenBack { centered: Vector, dy: Vector }

fn load_both(cursor: Cursor, exists: bool) -> Loaded {
    let here = or_first(cursor, exists);
    return Loaded(here, read_x(here.index), read_dy(here.index), read_residual(here.index));
}

fn take_back(loaded: Loaded, a: Affine) -> TakenBack {
    let centered = center(enter(loaded.x), a, loaded.here);
    let z = add_residual(affine(centered, a, loaded.here), loaded.residual);
    return TakenBack(centered, gradient_of_output(loaded.dy, z));
}
