// Each batch weighs the same: running ← (1 − m)·running + m·batch.
struct Share { keep: f32, take: f32 }
fn share_of(batches_before: u32) -> Share { return Share(params.keep, params.momentum); }
