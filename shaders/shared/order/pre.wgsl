// x̂ is that of activation(x).
fn enter(x: Vector) -> Vector { return activate(x); }
fn leave(z: Vector) -> Vector { return z; }
fn gradient_of_output(dy: Vector, z: Vector) -> Vector { return dy; }
fn gradient_of_input(dx: Vector, x: Vector) -> Vector { return activation_gradient(dx, x); }
