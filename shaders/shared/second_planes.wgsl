// The coefficients of the double backward pass: MEAN_HI, MEAN_LO, INV_STD and SCALE of planes.wgsl, and these.
const MEAN_DY_HI = 2u;
const MEAN_DY_LO = 5u;
const MEAN_DDX_HI = 6u;
const MEAN_DDX_LO = 7u;
const MEAN_DY_X_HAT = 8u;
const MEAN_DDX_X_HAT = 9u;
const COVARIANCE = 10u; // of what is left of dy and ddx without their parts along 1 and x̂
const DDWEIGHT = 11u;
const DDBIAS = 12u;
const SECOND_PLANES = 13u;

fn second_plane(group: u32, field: u32, channel: u32) -> u32 {
    return (group * SECOND_PLANES + field) * (params.all_channels / LANE_CHANNELS) + channel;
}
