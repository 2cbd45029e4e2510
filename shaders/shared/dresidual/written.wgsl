// The gradient of the residual, which is that of what enters the activation.
@group(0) @binding(17) var<storage, read_write> dresidual: array<Stored>;
fn write_dresidual(i: u32, v: Vector) { dresidual[i] = pack(v); }
