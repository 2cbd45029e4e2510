// v where v > 0, else negative_slope · v. The gradient at 0 is the slope.
fn leak(w: Vector, v: Vector) -> Vector { return select(w * params.negative_slope, w, v > Vector(0.0)); }
fn activate(v: Vector) -> Vector { return leak(v, v); }
fn activation_gradient(dy: Vector, v: Vector) -> Vector { return leak(dy, v); }
