// No big tensor is touched: a lane holds one channel of the per-channel arrays.
alias Channel = f32;
alias Bits = u32;
const LANE_CHANNELS = 1u;

fn first_bits(bits: Bits) -> u32 { return bits; }
