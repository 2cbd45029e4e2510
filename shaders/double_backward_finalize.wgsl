// double_backward_finalize: the DoubleGradSums of each channel and group → the gradient of γ, and the
// planes of coefficients for double_backward_apply. saved: planes of finalize; records: planes of C, see
// records.wgsl. Dispatch: COLUMNS channels a workgroup.
@group(0) @binding(10) var<storage, read_write> saved: array<f32>;
@group(0) @binding(11) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(12) var<storage, read_write> records: array<u32>;

fn run(place: Place, lane: u32) {
    let channel = place.plane_channel;
    var grad_of_weight = pair_of(0.0);
    for (var i = 0u; i < GROUPS; i++) { // unroll if one
        let group = params.first_group + i;
        let sums = merge(group, place, lane);
        if (place.exists && place.row == 0u) {
            let inv_std = saved[plane(group, INV_STD, channel)];
            let means = second_means(sums, f32(max(sums.count, 1u)));
            grad_of_weight = add_pairs(grad_of_weight, pair_of(inv_std * means.product));
            coefficients[second_plane(group, MEAN_HI, channel)] = saved[plane(group, MEAN_HI, channel)];
            coefficients[second_plane(group, MEAN_LO, channel)] = saved[plane(group, MEAN_LO, channel)];
            coefficients[second_plane(group, INV_STD, channel)] = inv_std;
            coefficients[second_plane(group, SCALE, channel)] = saved[plane(group, SCALE, channel)];
            coefficients[second_plane(group, MEAN_DY_HI, channel)] = sums.dy.hi;
            coefficients[second_plane(group, MEAN_DY_LO, channel)] = sums.dy.lo;
            coefficients[second_plane(group, MEAN_DDX_HI, channel)] = sums.ddx.hi;
            coefficients[second_plane(group, MEAN_DDX_LO, channel)] = sums.ddx.lo;
            coefficients[second_plane(group, MEAN_DY_X_HAT, channel)] = means.dy_x_hat;
            coefficients[second_plane(group, MEAN_DDX_X_HAT, channel)] = means.ddx_x_hat;
            coefficients[second_plane(group, COVARIANCE, channel)] = means.covariance;
            coefficients[second_plane(group, DDWEIGHT, channel)] = ddweight_of(channel);
            coefficients[second_plane(group, DDBIAS, channel)] = ddbias_of(channel);
        }
    }
    if (place.exists && place.row == 0u) {
        put_grad_weight(channel, grad_of_weight.hi + grad_of_weight.lo);
    }
}
