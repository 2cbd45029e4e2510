// The batch's mean and variance depend on x:
// dx = γ/σ · ((dy − mean(dy)) − (x − mean) · mean(dy·x̂)/σ).
struct Means { mean_dy: Channel, slope: Channel }

fn input_gradient(dy: Vector, centered: Vector, scale: Channel, means: Means) -> Vector {
    return spread(scale) * ((dy - spread(means.mean_dy)) - centered * spread(means.slope));
}
