// One load brings 1 element.
alias Vector = f32;
alias VectorBits = u32;
alias VectorBool = bool;

fn sum_of(v: Vector) -> f32 { return v; }
fn first_of(v: Vector) -> f32 { return v; }
fn first_shown_of(v: Vector, shown: VectorBool) -> f32 { return v; }
fn count_of(v: VectorBits) -> u32 { return v; }
fn first_bits_of(v: VectorBits) -> u32 { return v; }
