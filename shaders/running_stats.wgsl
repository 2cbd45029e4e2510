// running_stats: running ← keep · running + take · batch, group by group; the variance it takes is the
// unbiased one. A group of fewer than two values has none, and is counted as skipped.
// saved: planes of finalize; running_mean, running_var, num_batches_tracked, num_batches_skipped: [C].
// Dispatch: a lane a channel. Batches are counted for each channel, so that no lane reads what another writes.
@group(0) @binding(7) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(9) var<storage, read_write> num_batches_tracked: array<u32>;
@group(0) @binding(10) var<storage, read_write> saved: array<f32>;
@group(0) @binding(19) var<storage, read_write> num_batches_skipped: array<u32>;

fn run(place: Place, lane: u32) {
    let channel = place.plane_channel;
    for (var i = 0u; i < GROUPS; i++) { // unroll if one
        let group = params.first_group + i;
        let count = saved[plane(group, COUNT, channel)];
        let accepted = is_accepted(group, lane) && count >= 2.0;
        if (place.exists && place.row == 0u) {
            if (accepted) {
                let share = share_of(num_batches_tracked[channel]);
                let variance = saved[plane(group, VARIANCE, channel)] * (count / (count - 1.0));
                running_mean[channel] = share.keep * running_mean[channel] + share.take * saved[plane(group, MEAN_HI, channel)];
                running_var[channel] = share.keep * running_var[channel] + share.take * variance;
                num_batches_tracked[channel] += 1u;
            } else {
                num_batches_skipped[channel] += 1u;
            }
        }
    }
}
