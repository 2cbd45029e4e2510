// γ is a tensor.
@group(0) @binding(5) var<storage, read_write> weight: array<Channel>;
fn weight_of(channel: u32) -> Channel { return weight[channel]; }
