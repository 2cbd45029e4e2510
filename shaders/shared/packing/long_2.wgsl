// Two elements of one word each, loaded as one of 64 bits: what goes over lanes one by one takes half as many steps.
alias Stored = u64;
fn stored_at(i: u32) -> u32 { return i; }
fn unpack(s: Stored, i: u32) -> Vector { return bitcast<vec2<f32>>(vec2<u32>(u32(s), u32(s >> 32u))); }
fn pack(v: Vector) -> Stored {
    let words = vec2<u64>(bitcast<vec2<u32>>(v));
    return words.x | (words.y << 32u);
}
