// The batch's mean and variance depend on x:
// dx = γ/σ · ((dy − mean(dy)) − (x − mean) · mean(dy·x̂)/σ).
struct Means { mean_dy: Held, slope: Held }

fn input_gradient(dy: Vector, centered: Vector, scale: Held, means: Means, cursor: Cursor) -> Vector {
    return at(scale, cursor) * ((dy - at(means.mean_dy, cursor)) - centered * at(means.slope, cursor));
}
