// Every position counts.
alias Seen = bool;
fn seen_at(cursor: Cursor, exists: bool) -> Seen { return exists; }
fn show(v: Vector, seen: Seen) -> Vector { return v; }
