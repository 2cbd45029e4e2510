// x − mean, where the mean is kept in two parts. The parts must not be added first, which fast math would
// do: see opaque() in exact.wgsl. Beside a graphics processor's memory this costs nothing.
fn subtract(x: Vector, hi: Vector, lo: Vector) -> Vector {
    return bitcast<Vector>(bitcast<VectorBits>(x - hi) ^ VectorBits(params.zero)) - lo;
}
