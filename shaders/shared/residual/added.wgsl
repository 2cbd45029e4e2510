// A tensor is added before the activation.
@group(0) @binding(16) var<storage, read_write> residual: array<Stored>;
alias Residual = Vector;
fn read_residual(i: u32) -> Residual { return unpack(residual[stored_at(i)], i); }
fn add_residual(z: Vector, residual: Residual) -> Vector { return z + residual; }
