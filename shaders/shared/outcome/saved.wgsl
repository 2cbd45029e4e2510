// The planes that normalize and the backward pass need.
@group(0) @binding(10) var<storage, read_write> saved: array<Channel>;

fn conclude(group: u32, channel: u32, found: Found) {
    let conclusion = conclusion_of(found, channel);
    save(group, channel, conclusion);
    settle_running(channel, conclusion.statistics);
}

fn save(group: u32, channel: u32, conclusion: Conclusion) {
    let statistics = conclusion.statistics;
    saved[plane(group, MEAN_HI, channel)] = statistics.mean.hi;
    saved[plane(group, MEAN_LO, channel)] = statistics.mean.lo;
    saved[plane(group, VARIANCE, channel)] = statistics.variance;
    saved[plane(group, INV_STD, channel)] = conclusion.inv_std;
    saved[plane(group, SCALE, channel)] = conclusion.scale;
    saved[plane(group, OFFSET, channel)] = conclusion.offset;
    saved[plane(group, COUNT, channel)] = Channel(statistics.count);
}
