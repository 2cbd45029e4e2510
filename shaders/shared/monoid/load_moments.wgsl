// Reads back what store() of monoid/store_moments.wgsl has written; the counts are the same in all channels of a lane.
fn load(record: u32, channel: u32) -> Moments {
    return Moments(
        first_bits(records[word_of(record, 0u, channel)]),
        first_bits(records[word_of(record, 1u, channel)]),
        bitcast<Channel>(records[word_of(record, 2u, channel)]),
        bitcast<Channel>(records[word_of(record, 3u, channel)]),
        bitcast<Channel>(records[word_of(record, 4u, channel)]),
    );
}
