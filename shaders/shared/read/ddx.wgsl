// The cotangent of dx.
@group(0) @binding(18) var<storage, read_write> ddx: array<Stored>;
fn read_ddx(i: u32) -> Vector { return unpack(ddx[stored_at(i)], i); }
