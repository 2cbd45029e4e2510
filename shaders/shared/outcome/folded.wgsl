// The folded form, y = scale·x + offset: to be merged into a convolution before it.
@group(0) @binding(22) var<storage, read_write> folded_scale: array<f32>;
@group(0) @binding(23) var<storage, read_write> folded_offset: array<f32>;

fn conclude(group: u32, channel: u32, found: Found) {
    let statistics = statistics_of(found);
    let scale = weight_of(channel) * inverse_sqrt(statistics.variance + params.epsilon);
    folded_scale[channel] = scale;
    folded_offset[channel] = (bias_of(channel) - scale * statistics.mean.hi) - scale * statistics.mean.lo;
}
