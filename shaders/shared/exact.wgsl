// Arithmetic that must not be rearranged, on values of type Channel.

struct Pair { hi: Channel, lo: Channel }

// `value`, in a way that no compiler can see through: Metal's fast math would else fold two_sum to 0.
fn opaque(value: Channel) -> Channel {
    return bitcast<Channel>(bitcast<Bits>(value) ^ Bits(params.zero));
}

// a + b without an error: hi is the rounded sum, lo what the rounding lost (Knuth, TAOCP 2, 4.2.2).
fn two_sum(a: Channel, b: Channel) -> Pair {
    let hi = opaque(a + b);
    let b_part = opaque(hi - a);
    let a_part = opaque(hi - b_part);
    return Pair(hi, opaque(a - a_part) + opaque(b - b_part));
}
