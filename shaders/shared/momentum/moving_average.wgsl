// Each batch weighs the same: running ← (1 − m)·running + m·batch.
struct Share { keep: Channel, take: Channel }
fn share_of(batches_before: Bits) -> Share { return Share(Channel(params.keep), Channel(params.momentum)); }
