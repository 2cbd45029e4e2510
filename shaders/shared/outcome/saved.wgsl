// The planes that normalize and the backward pass need.
@group(0) @binding(10) var<storage, read_write> saved: array<f32>;

fn conclude(group: u32, channel: u32, found: Found) {
    let statistics = statistics_of(found);
    let inv_std = inverse_sqrt(statistics.variance + params.epsilon);
    saved[plane(group, MEAN_HI, channel)] = statistics.mean.hi;
    saved[plane(group, MEAN_LO, channel)] = statistics.mean.lo;
    saved[plane(group, VARIANCE, channel)] = statistics.variance;
    saved[plane(group, INV_STD, channel)] = inv_std;
    saved[plane(group, SCALE, channel)] = weight_of(channel) * inv_std;
    saved[plane(group, OFFSET, channel)] = bias_of(channel);
    saved[plane(group, COUNT, channel)] = statistics.count;
}
