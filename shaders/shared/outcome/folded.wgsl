// The folded form, y = scale·x + offset: to be merged into a convolution before it.
@group(0) @binding(22) var<storage, read_write> folded_scale: array<Channel>;
@group(0) @binding(23) var<storage, read_write> folded_offset: array<Channel>;

fn conclude(group: u32, channel: u32, found: Found) {
    let conclusion = conclusion_of(found, channel);
    let mean = conclusion.statistics.mean;
    folded_scale[channel] = conclusion.scale;
    folded_offset[channel] = (conclusion.offset - conclusion.scale * mean.hi) - conclusion.scale * mean.lo;
}
