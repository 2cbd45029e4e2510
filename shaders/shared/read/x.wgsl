// The input.
@group(0) @binding(1) var<storage, read_write> x: array<Stored>;
fn read_x(i: u32) -> Vector { return unpack(x[stored_at(i)], i); }
