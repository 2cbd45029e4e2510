// dweight replaces what was there.
@group(0) @binding(13) var<storage, read_write> dweight: array<Channel>;
fn put_dweight(channel: u32, value: Channel) { dweight[channel] = value; }
