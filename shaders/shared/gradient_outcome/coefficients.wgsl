// dγ and dβ, the sums over all groups, and for backward_apply the planes of coefficients.
// saved: planes of finalize.
@group(0) @binding(10) var<storage, read_write> saved: array<f32>;
@group(0) @binding(11) var<storage, read_write> coefficients: array<f32>;

fn conclude_group(group: u32, channel: u32, sums: GradSums) {
    let inv_std = saved[plane(group, INV_STD, channel)];
    let means = means_of_sums(sums, saved[plane(group, COUNT, channel)], inv_std);
    coefficients[plane(group, MEAN_HI, channel)] = saved[plane(group, MEAN_HI, channel)];
    coefficients[plane(group, MEAN_LO, channel)] = saved[plane(group, MEAN_LO, channel)];
    coefficients[plane(group, MEAN_DY, channel)] = means.mean_dy;
    coefficients[plane(group, SLOPE, channel)] = means.slope;
    coefficients[plane(group, SCALE, channel)] = scale_of(saved[plane(group, SCALE, channel)]);
    coefficients[plane(group, OFFSET, channel)] = saved[plane(group, OFFSET, channel)];
}

fn conclude(channel: u32, total: GradSums) {
    let sum_dy = total.dy.hi + total.dy.lo;
    let sum_dy_x_hat = total.dy_x_hat.hi + total.dy_x_hat.lo;
    put_dbias(channel, sum_dy);
    put_dweight(channel, sum_dy_x_hat);
    put_dstatistics(channel, sum_dy, sum_dy_x_hat);
}
