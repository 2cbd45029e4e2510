// dweight is added to what is there: gradient accumulation over micro-batches.
@group(0) @binding(13) var<storage, read_write> dweight: array<f32>;
fn put_dweight(channel: u32, value: f32) { dweight[channel] += value; }
