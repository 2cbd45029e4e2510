// Reads back what store() of monoid/moments.wgsl has written, one channel a lane.
fn load(split: u32, channel: u32) -> Moments {
    return Moments(
        records[word_of(split, 0u, channel)],
        bitcast<f32>(records[word_of(split, 1u, channel)]),
        bitcast<f32>(records[word_of(split, 2u, channel)]),
        bitcast<f32>(records[word_of(split, 3u, channel)]),
    );
}
