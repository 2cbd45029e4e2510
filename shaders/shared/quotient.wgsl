// ⌊n / divisor⌋, exactly, from the divisor's reciprocal: an integer division costs a lane of a CPU adapter
// more than all else here. The first guess is wrong by its 2⁻²² at most, the second by less than one.
fn quotient(n: u32, divisor: u32, inverse: f32) -> u32 {
    let guess = u32(f32(n) * inverse);
    let rest = i32(n - guess * divisor);
    let nearly = guess + u32(i32(floor(f32(rest) * inverse)));
    let left = i32(n - nearly * divisor);
    return select(select(nearly, nearly + 1u, left >= i32(divisor)), nearly - 1u, left < 0);
}
