// Ghost batches: the tiles of the first group come first, then those of the second, and so on.
fn group_of(tile: u32) -> u32 { return tile / params.part_splits; }

// The group of a sample or position, in flat kernels; the word after the last element may belong to none.
fn group_of_outer(outer: u32) -> u32 {
    return min((outer + params.first_outer) / params.group_length, params.all_groups - 1u);
}
