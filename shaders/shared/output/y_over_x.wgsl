// y takes the place of x: one binding, since WebGPU refuses two writable ones that overlap.
fn write(i: u32, v: Vector) { x[i] = pack(v); }
