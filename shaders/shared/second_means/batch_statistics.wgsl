// Mean and variance depend on x. covariance = mean(dy·ddx) − mean(dy)·mean(ddx) − mean(dy·x̂)·mean(ddx·x̂);
// explained: what that takes off the sum Σdy·ddx.
struct SecondMeans { dy: f32, dy_x_hat: f32, ddx: f32, ddx_x_hat: f32, covariance: f32, explained: f32 }

fn second_means(sums: DoubleGradSums, count: f32) -> SecondMeans {
    let dy = (sums.dy.hi + sums.dy.lo) / count;
    let dy_x_hat = (sums.dy_x_hat.hi + sums.dy_x_hat.lo) / count;
    let ddx = (sums.ddx.hi + sums.ddx.lo) / count;
    let ddx_x_hat = (sums.ddx_x_hat.hi + sums.ddx_x_hat.lo) / count;
    let explained = dy * ddx + dy_x_hat * ddx_x_hat;
    let covariance = (sums.dy_ddx.hi + sums.dy_ddx.lo) / count - explained;
    return SecondMeans(dy, dy_x_hat, ddx, ddx_x_hat, covariance, explained * count);
}
