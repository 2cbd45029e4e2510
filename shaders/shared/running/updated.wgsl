// The running statistics take in the batch.
fn settle_running(channel: u32, statistics: Statistics) {
    update_running(channel, statistics.mean.hi, statistics.variance, statistics.count, true);
}
