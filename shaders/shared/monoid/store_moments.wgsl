// A record of Moments, word by word: see records.wgsl.
fn store(record: u32, channel: u32, moments: Moments) {
    records[word_of(record, 0u, channel)] = Bits(moments.count);
    records[word_of(record, 1u, channel)] = Bits(moments.carry);
    records[word_of(record, 2u, channel)] = bitcast<Bits>(moments.mean_hi);
    records[word_of(record, 3u, channel)] = bitcast<Bits>(moments.mean_lo);
    records[word_of(record, 4u, channel)] = bitcast<Bits>(moments.m2);
}
