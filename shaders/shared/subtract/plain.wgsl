// x − mean, where the mean is kept in two parts: for software adapters, which do not rearrange it (the
// tests with large means hold them to that), and where every operation counts.
fn subtract(x: Vector, hi: Vector, lo: Vector) -> Vector {
    return (x - hi) - lo;
}
