// Mean and variance depend on x. With what is left of dy and ddx without their parts along 1 and x̂:
// grad_dy = γ/σ·ddx' + ddγ·x̂ + ddβ
// grad_x = −γ/σ²·(covariance·x̂ + mean(dy·x̂)·ddx' + mean(ddx·x̂)·dy') + ddγ/σ·dy'
struct Second { dy: Vector, x: Vector }
struct SecondHeld {
    dy_hi: Channel, dy_lo: Channel, ddx_hi: Channel, ddx_lo: Channel, dy_x_hat: Channel, ddx_x_hat: Channel,
    covariance: Channel, weight: Channel, bias: Channel,
}

fn second_held_of(place: Place) -> SecondHeld {
    return SecondHeld(
        held(MEAN_DY_HI, place), held(MEAN_DY_LO, place), held(MEAN_DDX_HI, place), held(MEAN_DDX_LO, place),
        held(MEAN_DY_X_HAT, place), held(MEAN_DDX_X_HAT, place), held(COVARIANCE, place),
        held(DDWEIGHT, place), held(DDBIAS, place),
    );
}

fn second_order(
    x_hat: Vector, g: Vector, v: Vector, scale: Vector, inv_std: Vector, h: SecondHeld, here: Cursor,
) -> Second {
    let g_along = spread_at(h.dy_x_hat, here);
    let v_along = spread_at(h.ddx_x_hat, here);
    let g_left = subtract(g, spread_at(h.dy_hi, here), spread_at(h.dy_lo, here)) - x_hat * g_along;
    let v_left = subtract(v, spread_at(h.ddx_hi, here), spread_at(h.ddx_lo, here)) - x_hat * v_along;
    let ddweight = spread_at(h.weight, here);
    let curvature = spread_at(h.covariance, here) * x_hat + g_along * v_left + v_along * g_left;
    return Second(
        scale * v_left + ddweight * x_hat + spread_at(h.bias, here),
        inv_std * (ddweight * g_left - scale * curvature),
    );
}
