// dx has a tensor of its own.
@group(0) @binding(4) var<storage, read_write> dx: array<Vector>;
fn write(i: u32, v: Vector) { dx[i] = v; }
