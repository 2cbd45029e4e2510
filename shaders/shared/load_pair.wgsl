// Reads back what store_pair() of pairs.wgsl has written, one channel a lane.
fn load_pair(record: u32, field: u32, channel: u32) -> Pair {
    return Pair(
        bitcast<f32>(records[word_of(record, field, channel)]), bitcast<f32>(records[word_of(record, field + 1u, channel)]),
    );
}
