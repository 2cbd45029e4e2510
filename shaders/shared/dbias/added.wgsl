// dbias is added to what is there: gradient accumulation over micro-batches.
@group(0) @binding(14) var<storage, read_write> dbias: array<Channel>;
fn put_dbias(channel: u32, value: Channel) { dbias[channel] += value; }
