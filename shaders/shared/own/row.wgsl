// The halves of a word that belong to the lane's own row.
fn own_bits(cursor: Cursor) -> u32 {
    let own = select(vec2<u32>(0u), vec2<u32>(0xffffu, 0xffff0000u), inside(cursor));
    return own.x | own.y;
}
