// The gradient of the residual, which is that of what enters the activation.
fn write_dresidual(here: Cursor, v: Vector) { store_dresidual(here, v); }
