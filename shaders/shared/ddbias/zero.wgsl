// Nothing depends on dβ.
fn ddbias_of(channel: u32) -> f32 { return 0.0; }
