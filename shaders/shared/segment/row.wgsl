// What a vector has of another row does not count.
alias Seen = VectorBool;
fn seen_at(cursor: Cursor, exists: bool) -> Seen { return select(Seen(false), inside(cursor), exists); }
fn show(v: Vector, seen: Seen) -> Vector { return v; }
