// The planes that double_backward_finalize has left.
@group(0) @binding(11) var<storage, read_write> coefficients: array<Held>;
fn item(group: u32, field: u32, channel: u32) -> Held {
    return coefficients[second_plane(group, field, channel)];
}
