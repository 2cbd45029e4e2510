// Two IEEE 754 binary16 in a word. WGSL leaves it to the adapter how pack2x16float rounds, and what it
// makes of numbers that are too large; here it is to nearest even, and infinity from 65,520 on.
fn unpack_pair(word: u32) -> vec2<f32> { return unpack2x16float(word); }

fn pack_pair(v: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(v);
    let size = bits & vec2<u32>(0x7fffffffu);
    // The exponent's bias is 127 in binary32 and 15 in binary16; 13 bits of the fraction go.
    let odd = (size >> vec2<u32>(13u)) & vec2<u32>(1u);
    let normal = (size + (odd + vec2<u32>(0xfffu)) - vec2<u32>(112u << 23u)) >> vec2<u32>(13u);
    // Below 2⁻¹⁴ binary16 has steps of 2⁻²⁴, which is what binary32 has from 1/2 to 1.
    let small = bitcast<vec2<u32>>(bitcast<vec2<f32>>(size) + vec2<f32>(0.5)) - vec2<u32>(0x3f000000u);
    var half = select(normal, small, size < vec2<u32>(113u << 23u));
    half = select(half, vec2<u32>(0x7c00u), size >= vec2<u32>(143u << 23u));
    half = select(half, vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u));
    half |= (bits >> vec2<u32>(16u)) & vec2<u32>(0x8000u);
    return half.x | (half.y << 16u);
}
