// dweight replaces what was there.
@group(0) @binding(13) var<storage, read_write> dweight: array<f32>;
fn put_dweight(channel: u32, value: f32) { dweight[channel] = value; }
