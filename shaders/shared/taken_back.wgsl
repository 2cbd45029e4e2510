// What both backward passes begin with: x, dy and what was added, and dy taken back through the activation.
struct Loaded { here: Cursor, x: Vector, dy: Vector, residual: Residual }
struct TakenBack { centered: Vector, dy: Vector }

// UNROLL loads, all of them begun before the first one is used.
fn load_block(cursor: ptr<function, Cursor>, loads: u32) -> array<Loaded, UNROLL> {
    var loaded: array<Loaded, UNROLL>;
    for (var k = 0u; k < UNROLL; k++) { // unroll
        let here = or_first(*cursor, k < loads);
        loaded[k] = Loaded(here, read_x(here.index), read_dy(here.index), read_residual(here.index));
        *cursor = advance(*cursor);
    }
    return loaded;
}

fn take_back(loaded: Loaded, a: Affine) -> TakenBack {
    let centered = center(enter(loaded.x), a, loaded.here);
    let z = add_residual(affine(centered, a, loaded.here), loaded.residual);
    return TakenBack(centered, gradient_of_output(loaded.dy, z));
}
