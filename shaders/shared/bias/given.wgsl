// β is a tensor.
@group(0) @binding(6) var<storage, read_write> bias: array<f32>;
fn bias_of(channel: u32) -> f32 { return bias[channel]; }
