// The cotangent of dβ.
@group(0) @binding(21) var<storage, read_write> ddbias: array<f32>;
fn ddbias_of(channel: u32) -> f32 { return ddbias[channel]; }
