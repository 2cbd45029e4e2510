// The gradient of γ is added to what earlier groups have left.
@group(0) @binding(28) var<storage, read_write> grad_weight: array<f32>;
fn put_grad_weight(channel: u32, value: f32) { grad_weight[channel] += value; }
