// 1/(1 + exp(−v)); exp overflows to infinity where the result is 0.
fn logistic(v: Vector) -> Vector { return 1.0 / (1.0 + exp(-v)); }
