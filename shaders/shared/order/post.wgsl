// y = activation(γ·x̂ + β + residual).
fn enter(x: Vector) -> Vector { return x; }
fn leave(z: Vector) -> Vector { return activate(z); }
fn gradient_of_output(dy: Vector, z: Vector) -> Vector { return activation_gradient(dy, z); }
fn gradient_of_input(dx: Vector, x: Vector) -> Vector { return dx; }
