// A tensor is added before the activation.
@group(0) @binding(16) var<storage, read_write> residual: array<Stored>;
alias Residual = Vector;
alias StoredResidual = Stored;
fn load_residual(i: u32) -> StoredResidual { return residual[stored_at(i)]; }
fn unpack_residual(s: StoredResidual, i: u32) -> Residual { return unpack(s, i); }
fn read_residual(i: u32) -> Residual { return unpack_residual(load_residual(i), i); }
fn add_residual(z: Vector, residual: Residual) -> Vector { return z + residual; }
