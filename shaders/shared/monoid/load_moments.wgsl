// Reads back what store() of monoid/moments.wgsl has written, one channel a lane.
fn load(record: u32, channel: u32) -> Moments {
    return Moments(
        records[word_of(record, 0u, channel)],
        records[word_of(record, 1u, channel)],
        bitcast<f32>(records[word_of(record, 2u, channel)]),
        bitcast<f32>(records[word_of(record, 3u, channel)]),
        bitcast<f32>(records[word_of(record, 4u, channel)]),
    );
}
