// max(0, v), NaN staying NaN. The gradient at 0 is 0.
fn activate(v: Vector) -> Vector { return select(v, Vector(0.0), v <= Vector(0.0)); }
fn activation_gradient(dy: Vector, v: Vector) -> Vector { return select(dy, Vector(0.0), v <= Vector(0.0)); }
