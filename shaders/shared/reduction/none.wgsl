// One row a workgroup: nothing to merge, no barrier.
fn reduce(mine: Record, lane: u32) -> Record { return mine; }
fn settle() {}
fn reduce_to_all(mine: Record, lane: u32) -> Record { return mine; }
