// Half a word at a time, where rows are odd: for reading only, since two lanes may share a word.
alias Stored = u32;
fn stored_at(i: u32) -> u32 { return i >> 1u; }
fn unpack(s: Stored, i: u32) -> Vector {
    let pair = unpack_pair(s);
    return select(pair.x, pair.y, (i & 1u) == 1u);
}
