// A big tensor that is written where a vector may lie across two rows: each element has one writer, which leaves the
// vector's others alone. TENSOR stands for its name.
@group(0) @binding(BINDING) var<storage, read_write> TENSOR: array<f32>;
fn read_TENSOR(i: u32) -> Vector {
    var v: Vector;
    for (var k = 0u; k < WIDTH; k++) { // unroll
        v[k] = TENSOR[WIDTH * i + k];
    }
    return v;
}
fn load_TENSOR(i: u32) -> Stored { return pack(read_TENSOR(i)); }
fn store_TENSOR(here: Cursor, v: Vector) {
    let own = inside(here);
    for (var k = 0u; k < WIDTH; k++) { // unroll
        if (own[k]) {
            TENSOR[WIDTH * here.index + k] = v[k];
        }
    }
}
