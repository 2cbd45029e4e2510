// The mask where the elements of one load may lie at positions of their own.
@group(0) @binding(15) var<storage, read_write> mask: array<u32>;
alias Seen = VectorBool;
fn seen_at(cursor: Cursor, exists: bool) -> Seen {
    return vec2<u32>(mask[cursor.position.x], mask[cursor.position.y]) != vec2<u32>(0u);
}
fn show(v: Vector, seen: Seen) -> Vector { return select(Vector(0.0), v, seen); }
