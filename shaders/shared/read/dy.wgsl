// The gradient with respect to y.
@group(0) @binding(3) var<storage, read_write> dy: array<Stored>;
fn load_dy(i: u32) -> Stored { return dy[stored_at(i)]; }
fn read_dy(i: u32) -> Vector { return unpack(load_dy(i), i); }
