// The exp of some adapters turns NaN into a number; and a comparison of v with itself, fast math folds away.
fn keep_nan(result: Vector, v: Vector) -> Vector {
    let size = bitcast<VectorBits>(v) & VectorBits(0x7fffffffu);
    return select(result, v, size > VectorBits(0x7f800000u));
}
