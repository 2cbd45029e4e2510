// One load brings 2 elements.
alias Vector = vec2<f32>;
alias VectorBits = vec2<u32>;
alias VectorBool = vec2<bool>;
const OFFSETS = vec2<u32>(0u, 1u);

fn sum_of(v: Vector) -> f32 { return v.x + v.y; }
fn first_of(v: Vector) -> f32 { return v.x; }
fn first_shown_of(v: Vector, shown: VectorBool) -> f32 { return select(v.y, v.x, shown.x); }
fn count_of(v: VectorBits) -> u32 { return v.x + v.y; }
fn first_bits_of(v: VectorBits) -> u32 { return v.x; }
