// dbias replaces what was there.
@group(0) @binding(14) var<storage, read_write> dbias: array<Channel>;
fn put_dbias(channel: u32, value: Channel) { dbias[channel] = value; }
