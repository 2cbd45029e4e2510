// No offset: β = 0.
fn bias_of(channel: u32) -> Channel { return Channel(0.0); }
