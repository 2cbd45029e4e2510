// Ghost batches: the tiles of the first group come first, then those of the second, and so on.
fn group_of(tile: u32) -> u32 { return tile / params.part_splits; }
