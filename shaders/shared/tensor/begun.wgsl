// A big tensor that is written where a vector may lie across two rows: the row that it begins in has the one writer of
// all of it. TENSOR stands for its name.
@group(0) @binding(BINDING) var<storage, read_write> TENSOR: array<Stored>;
fn load_TENSOR(i: u32) -> Stored { return TENSOR[stored_at(i)]; }
fn read_TENSOR(i: u32) -> Vector { return unpack(load_TENSOR(i), i); }
fn store_TENSOR(here: Cursor, v: Vector) {
    if (begins_in_row(here)) {
        TENSOR[stored_at(here.index)] = pack(v);
    }
}
