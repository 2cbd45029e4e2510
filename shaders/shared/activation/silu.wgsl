// v·s with s = 1/(1 + exp(−v)); derivative s·(1 + v·(1 − s)).
fn activate(v: Vector) -> Vector { return v * logistic(v); }
fn activation_gradient(dy: Vector, v: Vector) -> Vector {
    let s = logistic_pair(v);
    return dy * (s.value * (1.0 + v * s.rest));
}
