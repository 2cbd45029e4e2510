// Mean and variance are constants: grad_dy = γ/σ·ddx + ddγ·x̂ + ddβ, grad_x = ddγ/σ·dy.
struct Second { dy: Vector, x: Vector }
struct SecondHeld { weight: Channel, bias: Channel }

fn second_held_of(place: Place) -> SecondHeld { return SecondHeld(held(DDWEIGHT, place), held(DDBIAS, place)); }

fn second_order(
    x_hat: Vector, g: Vector, v: Vector, scale: Vector, inv_std: Vector, h: SecondHeld, here: Cursor,
) -> Second {
    let ddweight = spread_at(h.weight, here);
    return Second(scale * v + ddweight * x_hat + spread_at(h.bias, here), ddweight * inv_std * g);
}
