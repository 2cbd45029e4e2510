// The input.
@group(0) @binding(1) var<storage, read_write> x: array<Stored>;
fn load_x(i: u32) -> Stored { return x[stored_at(i)]; }
fn read_x(i: u32) -> Vector { return unpack(load_x(i), i); }
