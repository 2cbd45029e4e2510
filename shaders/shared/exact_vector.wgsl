// x − mean, where the mean is kept in two parts: the parts must not be added first, which fast math would
// do. See opaque() in exact.wgsl.
fn subtract(x: Vector, hi: Vector, lo: Vector) -> Vector {
    return bitcast<Vector>(bitcast<VectorBits>(x - hi) ^ VectorBits(params.zero)) - lo;
}
