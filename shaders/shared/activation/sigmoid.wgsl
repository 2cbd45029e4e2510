// s = 1/(1 + exp(−v)); derivative s·(1 − s). Near 0, where s is 1/2 whatever v, as 1/2 + tanh(v/2)/2, which
// keeps what v adds to it.
fn activate(v: Vector) -> Vector {
    return keep_nan(select(logistic(v), 0.5 + 0.5 * tangent_near_zero(0.5 * v), abs(v) < Vector(1.2)), v);
}
fn activation_gradient(dy: Vector, v: Vector) -> Vector {
    let s = logistic_pair(v);
    return dy * keep_nan(s.value * s.rest, v);
}
