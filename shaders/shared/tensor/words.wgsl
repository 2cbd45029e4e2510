// A big tensor, each word of which has one writer. TENSOR stands for its name.
@group(0) @binding(BINDING) var<storage, read_write> TENSOR: array<Stored>;
fn load_TENSOR(i: u32) -> Stored { return TENSOR[stored_at(i)]; }
fn read_TENSOR(i: u32) -> Vector { return unpack(load_TENSOR(i), i); }
fn store_TENSOR(here: Cursor, v: Vector) { TENSOR[stored_at(here.index)] = pack(v); }
