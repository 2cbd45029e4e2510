// Only positions of the own row with a mask other than 0 count.
@group(0) @binding(15) var<storage, read_write> mask: array<u32>;
alias Seen = VectorBool;
fn seen_at(cursor: Cursor, exists: bool) -> Seen {
    let own = select(Seen(false), inside(cursor), exists);
    let entries = params.mask_base + cursor.sample * params.row_elements + places(cursor);
    let at = select(vec2<u32>(0u), entries, own);
    return own & (vec2<u32>(mask[at.x], mask[at.y]) != vec2<u32>(0u));
}
fn show(v: Vector, seen: Seen) -> Vector { return select(Vector(0.0), v, seen); }
