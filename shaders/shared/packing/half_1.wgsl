// Half a word at a time, where the channels come last and are odd in number: two lanes share each word.
alias Stored = u32;
fn stored_at(i: u32) -> u32 { return i >> 1u; }
fn unpack(s: Stored, i: u32) -> Vector {
    let pair = unpack_pair(s);
    return select(pair.x, pair.y, (i & 1u) == 1u);
}
fn pack(v: Vector) -> Stored { return pack_pair(vec2<f32>(v)); }
