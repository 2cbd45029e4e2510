// What one step leaves for the next: for each group PLANES planes of C words, side by side. Saved are
// MEAN_HI to COUNT; the coefficients of the backward pass have two means in the place of two of them.
const MEAN_HI = 0u;
const MEAN_LO = 1u;
const VARIANCE = 2u;    // biased
const INV_STD = 3u;     // 1/σ
const SCALE = 4u;       // γ/σ
const OFFSET = 5u;      // β
const COUNT = 6u;       // values that the statistics were taken of
const PLANES = 7u;
const MEAN_DY = 2u;     // mean(dy)
const SLOPE = 3u;       // mean(dy·x̂)/σ

fn plane(group: u32, field: u32, channel: u32) -> u32 {
    return (group * PLANES + field) * (params.all_channels / LANE_CHANNELS) + channel;
}
