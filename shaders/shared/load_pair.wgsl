// Reads back what store_pair() of store_pair.wgsl has written.
fn load_pair(record: u32, field: u32, channel: u32) -> Pair {
    let hi = records[word_of(record, field, channel)];
    let lo = records[word_of(record, field + 1u, channel)];
    return Pair(bitcast<Channel>(hi), bitcast<Channel>(lo));
}
