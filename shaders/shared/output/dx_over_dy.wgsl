// dx takes the place of dy: one binding, since WebGPU refuses two writable ones that overlap.
fn write(i: u32, v: Vector) { dy[i] = pack(v); }
