// 1/√v within 1 ULP. inverseSqrt alone is granted 2 ULP; one Newton step, r + r/2·(1 − v·r²), halves
// the digits that are wrong, if 1 − v·r² itself is exact enough: v·r is therefore taken as the sum of
// a rounded product and its error (Dekker: the halves of a split number multiply without rounding).
fn upper_half(v: Channel) -> Channel {
    return bitcast<Channel>(bitcast<Bits>(v) & Bits(0xfffff000u));
}

fn inverse_sqrt(variance: Channel) -> Channel {
    // Halves of small numbers would be subnormal, which many adapters take for 0: 1/√v = 2³⁰/√(2⁶⁰·v).
    let is_small = variance < Channel(1e-25);
    let v = variance * select(Channel(1.0), Channel(1152921504606846976.0), is_small);
    let r = inverseSqrt(v);
    let product = opaque(v * r);
    let v_hi = upper_half(v);
    let r_hi = upper_half(r);
    let v_lo = v - v_hi;
    let r_lo = r - r_hi;
    let lost = (((v_hi * r_hi - product) + v_hi * r_lo) + v_lo * r_hi) + v_lo * r_lo;
    let residual = (1.0 - product * r) - lost * r;
    // 1/√∞ is 0, and ∞ · 0 would make the correction NaN.
    let refined = select(r + 0.5 * r * residual, r, r == Channel(0.0));
    return refined * select(Channel(1.0), Channel(1073741824.0), is_small);
}
