// Records are kept as planes: word `field` of lane channel c of a record is at (record · FIELDS + field) ·
// C + c, so that neighbouring lanes touch neighbouring words, and one record of all channels (of a split,
// or of a replica) is one piece of memory. The records of a group lie side by side.
fn word_of(record: u32, field: u32, channel: u32) -> u32 {
    return (record * FIELDS + field) * (params.all_channels / LANE_CHANNELS) + channel;
}
