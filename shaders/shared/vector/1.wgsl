// One load brings 1 f32 element.
alias Vector = f32;
alias VectorBits = u32;
const WIDTH = 1u;

fn sum_of(v: Vector) -> f32 { return v; }
fn first_of(v: Vector) -> f32 { return v; }
fn element_of(v: Vector, i: u32) -> f32 { return v; }
