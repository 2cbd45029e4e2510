// y takes the place of x: one binding, since WebGPU refuses two writable ones that overlap.
fn write(here: Cursor, v: Vector) { store_x(here, v); }
