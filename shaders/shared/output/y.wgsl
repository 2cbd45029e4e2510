// y has a tensor of its own.
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
fn write(i: u32, v: Vector) { y[i] = pack(v); }
