// One load brings 4 f32 elements.
alias Vector = vec4<f32>;
alias VectorBits = vec4<u32>;
const WIDTH = 4u;

fn sum_of(v: Vector) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn first_of(v: Vector) -> f32 { return v.x; }
fn element_of(v: Vector, i: u32) -> f32 { return v[i]; }
