// Every batch is taken in, also one that makes the running statistics NaN.
fn is_accepted(group: u32, lane: u32) -> bool { return true; }
