// β is a tensor.
@group(0) @binding(6) var<storage, read_write> bias: array<Channel>;
fn bias_of(channel: u32) -> Channel { return bias[channel]; }
