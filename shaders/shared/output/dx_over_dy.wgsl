// dx takes the place of dy: one binding, since WebGPU refuses two writable ones that overlap.
fn write(here: Cursor, v: Vector) { store_dy(here, v); }
