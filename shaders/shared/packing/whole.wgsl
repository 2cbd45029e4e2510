// An element is a word of its own: what is stored is what is computed with.
alias Stored = Vector;
fn stored_at(i: u32) -> u32 { return i; }
fn unpack(s: Stored, i: u32) -> Vector { return s; }
fn pack(v: Vector) -> Stored { return v; }
