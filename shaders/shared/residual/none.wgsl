// Nothing is added before the activation, or nothing depends on it.
alias Residual = bool;
alias StoredResidual = bool;
fn load_residual(i: u32) -> StoredResidual { return false; }
fn unpack_residual(s: StoredResidual, i: u32) -> Residual { return false; }
fn read_residual(i: u32) -> Residual { return false; }
fn add_residual(z: Vector, residual: Residual) -> Vector { return z; }
