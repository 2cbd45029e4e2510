// tanh(v); derivative 1 − tanh²(v).
fn activate(v: Vector) -> Vector { return hyperbolic_tangent(v); }
fn activation_gradient(dy: Vector, v: Vector) -> Vector {
    let t = hyperbolic_tangent(v);
    return dy * ((1.0 - t) * (1.0 + t));
}
