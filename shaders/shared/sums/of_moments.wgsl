// The gradient comes through mean and variance themselves: dx = (dmean + 2·(x − mean)·dvariance) / count,
// which is the formula of dx with dy = 0, γ/σ = 1 and the sums −dmean and −2·σ·dvariance.
@group(0) @binding(24) var<storage, read_write> dmean: array<f32>;
@group(0) @binding(25) var<storage, read_write> dvariance: array<f32>;

fn collect_sums(group: u32, place: Place, lane: u32) -> Record {
    let sigma = 1.0 / saved[plane(group, INV_STD, place.plane_channel)];
    let sum_dy_x_hat = -2.0 * sigma * dvariance[place.plane_channel];
    return GradSums(pair_of(-dmean[place.plane_channel]), pair_of(sum_dy_x_hat));
}
fn scale_of(scale: f32) -> f32 { return 1.0; }
