// The statistics of the batch: the records that statistics.wgsl left, merged.
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

fn collect(group: u32, place: Place, lane: u32) -> Found { return merge(group, place, lane); }
