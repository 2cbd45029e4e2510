// One load brings 4 elements.
alias Vector = vec4<f32>;
alias VectorBits = vec4<u32>;
alias VectorBool = vec4<bool>;
const OFFSETS = vec4<u32>(0u, 1u, 2u, 3u);

fn sum_of(v: Vector) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn first_of(v: Vector) -> f32 { return v.x; }
fn first_shown_of(v: Vector, shown: VectorBool) -> f32 { return select(select(select(v.w, v.z, shown.z), v.y, shown.y), v.x, shown.x); }
fn count_of(v: VectorBits) -> u32 { return (v.x + v.y) + (v.z + v.w); }
fn first_bits_of(v: VectorBits) -> u32 { return v.x; }
