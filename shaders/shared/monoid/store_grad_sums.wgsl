// A record of GradSums, word by word: see records.wgsl.
fn store(record: u32, channel: u32, sums: GradSums) {
    store_pair(record, 0u, channel, sums.dy);
    store_pair(record, 2u, channel, sums.dy_x_hat);
}
