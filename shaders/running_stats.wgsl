// running_stats: running ← keep · running + take · batch; the variance it takes is the unbiased one.
// saved: planes of finalize; running_mean, running_var, num_batches_tracked: [C]. Dispatch: a lane a
// channel. The number of batches is kept for each channel, so that no lane reads what another writes.
@group(0) @binding(7) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(9) var<storage, read_write> num_batches_tracked: array<u32>;
@group(0) @binding(10) var<storage, read_write> saved: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    if (!place.exists || place.row != 0u) { return; }
    let channel = place.channel;
    let share = share_of(num_batches_tracked[channel]);
    let mean = saved[plane(0u, channel)];
    let variance = saved[plane(2u, channel)] * params.unbias;
    running_mean[channel] = share.keep * running_mean[channel] + share.take * mean;
    running_var[channel] = share.keep * running_var[channel] + share.take * variance;
    num_batches_tracked[channel] += 1u;
}
