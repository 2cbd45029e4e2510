// Nobody asked for dresidual.
fn write_dresidual(i: u32, v: Vector) {}
