// One load brings 2 f32 elements.
alias Vector = vec2<f32>;
alias VectorBits = vec2<u32>;
const WIDTH = 2u;

fn sum_of(v: Vector) -> f32 { return v.x + v.y; }
fn first_of(v: Vector) -> f32 { return v.x; }
fn element_of(v: Vector, i: u32) -> f32 { return v[i]; }
