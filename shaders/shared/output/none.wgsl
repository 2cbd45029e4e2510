// Nobody asked for dx.
fn write(here: Cursor, v: Vector) {}
