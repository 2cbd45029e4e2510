// The running statistics stay as they are, or are updated later.
fn settle_running(channel: u32, statistics: Statistics) {}
