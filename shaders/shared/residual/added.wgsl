// A tensor is added before the activation.
alias Residual = Vector;
alias StoredResidual = Stored;
fn unpack_residual(s: StoredResidual, i: u32) -> Residual { return unpack(s, i); }
fn add_residual(z: Vector, residual: Residual) -> Vector { return z + residual; }
