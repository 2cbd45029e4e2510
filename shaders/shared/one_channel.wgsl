// A vector holds values of one channel, which lie side by side.
alias Channel = f32;
alias Held = f32;
alias Bits = u32;
alias MaskBits = VectorBits;
alias Shown = VectorBool;
const LANE_CHANNELS = 1u;
const LANE_VALUES = WIDTH;

fn first_bits(bits: Bits) -> u32 { return bits; }
fn gather(v: Vector) -> Channel { return sum_of(v); }
fn spread(c: Channel) -> Vector { return Vector(c); }
fn spread_at(c: Channel, here: Cursor) -> Vector { return spread(c); }
fn pivot(v: Vector) -> Channel { return first_of(v); }
fn shown_pivot(v: Vector, shown: Shown) -> Channel { return first_shown_of(v, shown); }
fn count_shown(shown: Shown) -> u32 { return count_of(select(VectorBits(0u), VectorBits(1u), shown)); }
