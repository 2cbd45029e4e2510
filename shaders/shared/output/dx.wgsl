// dx has a tensor of its own.
@group(0) @binding(4) var<storage, read_write> dx: array<Stored>;
fn write(i: u32, v: Vector) { dx[i] = pack(v); }
