// The batch's mean and variance depend on x:
// dx = γ/σ · ((dy − mean(dy)) − (x − mean) · mean(dy·x̂)/σ).
@group(0) @binding(1) var<storage, read_write> x: array<Vector>;

struct Loaded { dy: Vector, x: Vector }
struct Coefficients { mean_hi: Channel, mean_lo: Channel, scale: Channel, mean_dy: Channel, slope: Channel }

fn coefficients_of(channel: u32) -> Coefficients {
    return Coefficients(
        coefficients[plane(0u, channel)], coefficients[plane(1u, channel)], coefficients[plane(2u, channel)],
        coefficients[plane(3u, channel)], coefficients[plane(4u, channel)],
    );
}

fn read(i: u32) -> Loaded { return Loaded(dy[i], x[i]); }

fn input_gradient(loaded: Loaded, c: Coefficients) -> Vector {
    let centered = subtract(loaded.x, spread(c.mean_hi), spread(c.mean_lo));
    return spread(c.scale) * ((loaded.dy - spread(c.mean_dy)) - centered * spread(c.slope));
}
