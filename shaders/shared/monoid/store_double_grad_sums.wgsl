// A record of DoubleGradSums, word by word: see records.wgsl.
fn store(record: u32, channel: u32, sums: DoubleGradSums) {
    records[word_of(record, 0u, channel)] = Bits(sums.count);
    records[word_of(record, 1u, channel)] = bitcast<Bits>(sums.x_hat);
    store_pair(record, 2u, channel, sums.dy);
    store_pair(record, 4u, channel, sums.ddx);
    store_pair(record, 6u, channel, sums.dy_ddx);
    store_pair(record, 8u, channel, sums.dy_x_hat);
    store_pair(record, 10u, channel, sums.ddx_x_hat);
}
