// dx has a tensor of its own.
fn write(here: Cursor, v: Vector) { store_dx(here, v); }
