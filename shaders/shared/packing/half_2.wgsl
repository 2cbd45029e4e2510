// A load brings one word, which is two elements.
alias Stored = u32;
fn stored_at(i: u32) -> u32 { return i; }
fn unpack(s: Stored, i: u32) -> Vector { return unpack_pair(s); }
fn pack(v: Vector) -> Stored { return pack_pair(v); }
