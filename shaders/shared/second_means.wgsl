// What double_backward_finalize makes of the sums. covariance: mean(dy'·ddx') − mean(dy'·x̂)·mean(ddx'·x̂), where dy' and
// ddx' are without their means; product: what 1/σ times is the gradient of γ.
struct SecondMeans { dy_x_hat: f32, ddx_x_hat: f32, covariance: f32, product: f32 }

fn value_of(p: Pair) -> f32 { return p.hi + p.lo; }
