// Mean and variance depend on x. With what is left of dy and ddx without their parts along 1 and x̂:
// grad_dy = γ/σ·ddx' + ddγ·x̂ + ddβ
// grad_x = −γ/σ²·(covariance·x̂ + mean(dy·x̂)·ddx' + mean(ddx·x̂)·dy') + ddγ/σ·dy'
struct Second { dy: Vector, x: Vector }
struct SecondHeld {
    dy_hi: Held, dy_lo: Held, ddx_hi: Held, ddx_lo: Held, dy_x_hat: Held, ddx_x_hat: Held, covariance: Held,
    weight: Held, bias: Held,
}

fn second_held_of(place: Place) -> SecondHeld {
    return SecondHeld(
        held(MEAN_DY_HI, place), held(MEAN_DY_LO, place), held(MEAN_DDX_HI, place), held(MEAN_DDX_LO, place),
        held(MEAN_DY_X_HAT, place), held(MEAN_DDX_X_HAT, place), held(COVARIANCE, place),
        held(DDWEIGHT, place), held(DDBIAS, place),
    );
}

fn second_order(x_hat: Vector, g: Vector, v: Vector, scale: Vector, inv_std: Vector, h: SecondHeld, cursor: Cursor) -> Second {
    let g_along = at(h.dy_x_hat, cursor);
    let v_along = at(h.ddx_x_hat, cursor);
    let g_left = subtract(g, at(h.dy_hi, cursor), at(h.dy_lo, cursor)) - x_hat * g_along;
    let v_left = subtract(v, at(h.ddx_hi, cursor), at(h.ddx_lo, cursor)) - x_hat * v_along;
    let ddweight = at(h.weight, cursor);
    let curvature = at(h.covariance, cursor) * x_hat + g_along * v_left + v_along * g_left;
    return Second(
        scale * v_left + ddweight * x_hat + at(h.bias, cursor),
        inv_std * (ddweight * g_left - scale * curvature),
    );
}
