// running ← keep · running + take · batch; the variance it takes is the unbiased one. A batch of fewer than
// two values has none, and is counted as skipped.
// Batches are counted for each channel, so that no lane reads what another writes.
@group(0) @binding(7) var<storage, read_write> running_mean: array<Channel>;
@group(0) @binding(8) var<storage, read_write> running_var: array<Channel>;
@group(0) @binding(9) var<storage, read_write> num_batches_tracked: array<Bits>;
@group(0) @binding(19) var<storage, read_write> num_batches_skipped: array<Bits>;

fn update_running(channel: u32, mean: Channel, variance: Channel, count: f32, accepted: bool) {
    if (accepted && count >= 2.0) {
        let share = share_of(num_batches_tracked[channel]);
        let unbiased = variance * (count / (count - 1.0));
        running_mean[channel] = share.keep * running_mean[channel] + share.take * mean;
        running_var[channel] = share.keep * running_var[channel] + share.take * unbiased;
        num_batches_tracked[channel] += Bits(1u);
    } else {
        num_batches_skipped[channel] += Bits(1u);
    }
}
