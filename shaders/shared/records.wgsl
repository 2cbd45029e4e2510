// Records are kept as planes: word `field` of lane channel c and split s is at (s · FIELDS + field) · C + c,
// so that neighbouring lanes touch neighbouring words, and the record of one split (or of one replica)
// is one piece of memory.
fn word_of(split: u32, field: u32, channel: u32) -> u32 {
    return (split * FIELDS + field) * (params.all_channels / LANE_CHANNELS) + channel;
}
