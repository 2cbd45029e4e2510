// The gradient with respect to y.
@group(0) @binding(3) var<storage, read_write> dy: array<Stored>;
fn read_dy(i: u32) -> Vector { return unpack(dy[stored_at(i)], i); }
