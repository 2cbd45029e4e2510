// Only positions of the own row with a mask other than 0 count.
@group(0) @binding(15) var<storage, read_write> mask: array<u32>;
alias Seen = VectorBool;
fn seen_at(cursor: Cursor, exists: bool) -> Seen {
    let own = select(Seen(false), inside(cursor), exists);
    let entries = params.mask_base + cursor.sample * params.row_elements + places(cursor);
    let at = select(VectorBits(0u), entries, own);
    var shown: VectorBits;
    for (var k = 0u; k < WIDTH; k++) { // unroll
        shown[k] = mask[at[k]];
    }
    return own & (shown != VectorBits(0u));
}
fn show(v: Vector, seen: Seen) -> Vector { return select(Vector(0.0), v, seen); }
