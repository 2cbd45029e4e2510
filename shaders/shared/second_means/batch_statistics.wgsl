// Mean and variance depend on x.
fn second_means(sums: DoubleGradSums, count: f32) -> SecondMeans {
    let dy_x_hat = value_of(sums.dy_x_hat) / count;
    let ddx_x_hat = value_of(sums.ddx_x_hat) / count;
    let covariance = value_of(sums.dy_ddx) / count - dy_x_hat * ddx_x_hat;
    return SecondMeans(dy_x_hat, ddx_x_hat, covariance, covariance * count);
}
