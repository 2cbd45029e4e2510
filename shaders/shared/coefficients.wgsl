// Per-channel numbers that one step leaves for the next: planes of C, as many as the step has numbers.
fn plane(field: u32, channel: u32) -> u32 {
    return field * (params.all_channels / LANE_CHANNELS) + channel;
}
