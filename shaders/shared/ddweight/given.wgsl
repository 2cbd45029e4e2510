// The cotangent of dγ.
@group(0) @binding(20) var<storage, read_write> ddweight: array<f32>;
fn ddweight_of(channel: u32) -> f32 { return ddweight[channel]; }
