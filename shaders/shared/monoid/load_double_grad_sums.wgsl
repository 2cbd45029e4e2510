// Reads back what store() of monoid/store_double_grad_sums.wgsl has written.
fn load(record: u32, channel: u32) -> DoubleGradSums {
    return DoubleGradSums(
        records[word_of(record, 0u, channel)],
        load_pair(record, 2u, channel),
        load_pair(record, 4u, channel),
        load_pair(record, 6u, channel),
        load_pair(record, 8u, channel),
        load_pair(record, 10u, channel),
        bitcast<f32>(records[word_of(record, 1u, channel)]),
    );
}
