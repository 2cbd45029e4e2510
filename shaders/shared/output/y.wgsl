// y has a tensor of its own.
fn write(here: Cursor, v: Vector) { store_y(here, v); }
