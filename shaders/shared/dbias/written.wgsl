// dbias replaces what was there.
@group(0) @binding(14) var<storage, read_write> dbias: array<f32>;
fn put_dbias(channel: u32, value: f32) { dbias[channel] = value; }
