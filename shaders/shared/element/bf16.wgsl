// Two bfloat16 in a word, each the upper half of a binary32; rounded to nearest even.
fn unpack_pair(word: u32) -> vec2<f32> {
    return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u));
}

fn pack_pair(v: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(v);
    let odd = (bits >> vec2<u32>(16u)) & vec2<u32>(1u);
    let rounded = bits + (odd + vec2<u32>(0x7fffu));
    // Rounding would carry the fraction of some NaN into its exponent, and make it a number.
    let is_nan = (bits & vec2<u32>(0x7fffffffu)) > vec2<u32>(0x7f800000u);
    let half = select(rounded, bits | vec2<u32>(0x400000u), is_nan) >> vec2<u32>(16u);
    return half.x | (half.y << 16u);
}
