// Nobody asked for dx.
fn write(i: u32, v: Vector) {}
