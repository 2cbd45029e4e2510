// γ·x̂ + β, the part that normalize and both backward passes share.
struct Affine { mean_hi: Held, mean_lo: Held, scale: Held, offset: Held }

fn center(x: Vector, a: Affine, cursor: Cursor) -> Vector {
    return subtract(x, at(a.mean_hi, cursor), at(a.mean_lo, cursor));
}

fn affine(centered: Vector, a: Affine, cursor: Cursor) -> Vector {
    return centered * at(a.scale, cursor) + at(a.offset, cursor);
}
