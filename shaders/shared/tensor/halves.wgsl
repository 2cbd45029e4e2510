// A big tensor of 16-bit elements that is written where rows are odd, so that the halves of a word may have two
// writers. Each changes nothing but its own half, so that either may come first. TENSOR stands for its name.
@group(0) @binding(BINDING) var<storage, read_write> TENSOR: array<atomic<u32>>;
fn load_TENSOR(i: u32) -> Stored { return atomicLoad(&TENSOR[stored_at(i)]); }
fn read_TENSOR(i: u32) -> Vector { return unpack(load_TENSOR(i), i); }
fn store_TENSOR(here: Cursor, v: Vector) {
    let word = stored_at(here.index);
    let own = own_bits(here);
    if (own == 0xffffffffu) {
        atomicStore(&TENSOR[word], pack(v));
    } else if (own != 0u) {
        atomicAnd(&TENSOR[word], ~own);
        atomicOr(&TENSOR[word], pack(v) & own);
    }
}
