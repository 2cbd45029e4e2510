// The gradients of given statistics: dmean = −γ/σ·Σdy, dvariance = −γ/(2σ²)·Σdy·x̂.
@group(0) @binding(24) var<storage, read_write> dmean: array<f32>;
@group(0) @binding(25) var<storage, read_write> dvariance: array<f32>;
fn put_dstatistics(channel: u32, sum_dy: f32, sum_dy_x_hat: f32) {
    let scale = saved[plane(0u, SCALE, channel)];
    dmean[channel] = -scale * sum_dy;
    dvariance[channel] = -0.5 * scale * saved[plane(0u, INV_STD, channel)] * sum_dy_x_hat;
}
