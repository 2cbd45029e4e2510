// γ·x̂ + β, the part that normalize and both backward passes share.
struct Affine { mean_hi: Channel, mean_lo: Channel, scale: Channel, offset: Channel }

fn center(x: Vector, a: Affine, here: Cursor) -> Vector {
    return subtract(x, spread_at(a.mean_hi, here), spread_at(a.mean_lo, here));
}

fn affine(centered: Vector, a: Affine, here: Cursor) -> Vector {
    return centered * spread_at(a.scale, here) + spread_at(a.offset, here);
}
