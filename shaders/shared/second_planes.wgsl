// The coefficients of the double backward pass: MEAN_HI, MEAN_LO, MEAN_DY, INV_STD and SCALE of planes.wgsl,
// and these.
const MEAN_DY_X_HAT = 5u;
const MEAN_DDX = 6u;
const MEAN_DDX_X_HAT = 7u;
const COVARIANCE = 8u;  // of what is left of dy and ddx without their parts along 1 and x̂
const DDWEIGHT = 9u;
const DDBIAS = 10u;
const SECOND_PLANES = 11u;

fn second_plane(group: u32, field: u32, channel: u32) -> u32 {
    return (group * SECOND_PLANES + field) * (params.all_channels / LANE_CHANNELS) + channel;
}
