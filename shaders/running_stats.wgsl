// running_stats: running ← (1 − m)·running + m·batch, group by group.
// saved: planes of finalize; running_mean, running_var, num_batches_tracked, num_batches_skipped: [C].
// Dispatch: a lane a channel.
@group(0) @binding(10) var<storage, read_write> saved: array<f32>;

fn run(place: Place, lane: u32) {
    let channel = place.plane_channel;
    for (var i = 0u; i < GROUPS; i++) { // unroll if one
        let group = params.first_group + i;
        let mean = saved[plane(group, MEAN_HI, channel)];
        let variance = saved[plane(group, VARIANCE, channel)];
        let accepted = is_accepted(group, lane);
        if (place.exists && place.row == 0u) {
            update_running(channel, mean, variance, saved[plane(group, COUNT, channel)], accepted);
        }
    }
}
