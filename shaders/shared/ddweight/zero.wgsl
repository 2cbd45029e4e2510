// Nothing depends on dγ.
fn ddweight_of(channel: u32) -> f32 { return 0.0; }
