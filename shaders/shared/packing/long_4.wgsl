// Four elements of one word each, loaded as two of 64 bits: what goes over lanes one by one takes half as many steps.
alias Stored = vec2<u64>;
fn stored_at(i: u32) -> u32 { return i; }
fn unpack(s: Stored, i: u32) -> Vector {
    let low = vec2<u32>(s);
    let high = vec2<u32>(s >> vec2<u32>(32u));
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}
fn pack(v: Vector) -> Stored {
    let words = vec4<u64>(bitcast<vec4<u32>>(v));
    return words.xz | (words.yw << vec2<u32>(32u));
}
