// Two words of a record: see records.wgsl.
fn store_pair(record: u32, field: u32, channel: u32, pair: Pair) {
    records[word_of(record, field, channel)] = bitcast<Bits>(pair.hi);
    records[word_of(record, field + 1u, channel)] = bitcast<Bits>(pair.lo);
}
