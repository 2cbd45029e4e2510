// γ·x̂ + β, the part that normalize and both backward passes share.
struct Affine { mean_hi: Channel, mean_lo: Channel, scale: Channel, offset: Channel }

fn center(x: Vector, a: Affine) -> Vector {
    return subtract(x, spread(a.mean_hi), spread(a.mean_lo));
}

fn affine(centered: Vector, a: Affine) -> Vector {
    return centered * spread(a.scale) + spread(a.offset);
}
