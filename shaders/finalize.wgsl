// finalize: the records of each channel (or its running statistics) → mean, variance, 1/σ.
// saved: planes mean_hi, mean_lo, biased variance, 1/σ, kept for the backward pass.
// coefficients: planes mean_hi, mean_lo, γ/σ, β, for normalize. Dispatch: COLUMNS channels a workgroup.
@group(0) @binding(10) var<storage, read_write> saved: array<f32>;
@group(0) @binding(11) var<storage, read_write> coefficients: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    let statistics = collect(place, lane);
    if (!place.exists || place.row != 0u) { return; }
    let channel = place.channel;
    let inv_std = inverse_sqrt(statistics.variance + params.epsilon);
    saved[plane(0u, channel)] = statistics.mean.hi;
    saved[plane(1u, channel)] = statistics.mean.lo;
    saved[plane(2u, channel)] = statistics.variance;
    saved[plane(3u, channel)] = inv_std;
    coefficients[plane(0u, channel)] = statistics.mean.hi;
    coefficients[plane(1u, channel)] = statistics.mean.lo;
    coefficients[plane(2u, channel)] = weight_of(channel) * inv_std;
    coefficients[plane(3u, channel)] = bias_of(channel);
}
