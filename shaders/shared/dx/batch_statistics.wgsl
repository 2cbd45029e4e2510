// The batch's mean and variance depend on x:
// dx = γ/σ · ((dy − mean(dy)) − (x − mean) · mean(dy·x̂)/σ).
struct Means { mean_dy: Channel, slope: Channel }

fn input_gradient(dy: Vector, centered: Vector, scale: Channel, means: Means, here: Cursor) -> Vector {
    return spread_at(scale, here) * ((dy - spread_at(means.mean_dy, here)) - centered * spread_at(means.slope, here));
}
