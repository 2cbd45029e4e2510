// One record in the place of the first one that it was made of, which no other channel reads: what a
// replica tells the others.
fn conclude(group: u32, channel: u32, found: Found) { store(group * params.splits, channel, found); }
