// The planes that finalize has left.
@group(0) @binding(10) var<storage, read_write> saved: array<Held>;
fn item(group: u32, field: u32, channel: u32) -> Held { return saved[plane(group, field, channel)]; }
