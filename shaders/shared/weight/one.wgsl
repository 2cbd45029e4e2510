// No scale: γ = 1.
fn weight_of(channel: u32) -> f32 { return 1.0; }
