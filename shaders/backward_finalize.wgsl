// backward_finalize: the GradSums records of each channel → dγ = Σdy·x̂ and dβ = Σdy, and for
// backward_apply the planes mean_hi, mean_lo, γ/σ, mean(dy), mean(dy·x̂)/σ in coefficients.
// saved: planes of finalize. Dispatch: COLUMNS channels a workgroup.
@group(0) @binding(10) var<storage, read_write> saved: array<f32>;
@group(0) @binding(11) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(12) var<storage, read_write> records: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    var sums = identity();
    for (var split = place.row; split < params.splits; split += ROWS) {
        sums = combine(sums, load(split, min(place.channel, params.all_channels - 1u)));
    }
    let total = reduce(sums, lane);
    if (!place.exists || place.row != 0u) { return; }
    let channel = place.channel;
    let sum_dy = total.dy.hi + total.dy.lo;
    let sum_dy_x_hat = total.dy_x_hat.hi + total.dy_x_hat.lo;
    put_dbias(channel, sum_dy);
    put_dweight(channel, sum_dy_x_hat);
    let inv_std = saved[plane(3u, channel)];
    coefficients[plane(0u, channel)] = saved[plane(0u, channel)];
    coefficients[plane(1u, channel)] = saved[plane(1u, channel)];
    coefficients[plane(2u, channel)] = weight_of(channel) * inv_std;
    coefficients[plane(3u, channel)] = sum_dy / f32(params.count);
    coefficients[plane(4u, channel)] = sum_dy_x_hat / f32(params.count) * inv_std;
}
