// Nobody asked for dresidual.
fn write_dresidual(here: Cursor, v: Vector) {}
