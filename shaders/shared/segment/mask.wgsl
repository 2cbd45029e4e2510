// Only positions with a mask other than 0 count. What it hides may be NaN, so it is never multiplied.
@group(0) @binding(15) var<storage, read_write> mask: array<MaskBits>;
alias Seen = Shown;
fn seen_at(cursor: Cursor, exists: bool) -> Seen {
    return select(Shown(false), mask[cursor.position] != MaskBits(0u), exists);
}
fn show(v: Vector, seen: Seen) -> Vector { return select(Vector(0.0), v, seen); }
