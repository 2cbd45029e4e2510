// γ is a tensor.
@group(0) @binding(5) var<storage, read_write> weight: array<f32>;
fn weight_of(channel: u32) -> f32 { return weight[channel]; }
