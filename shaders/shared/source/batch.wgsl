// The statistics of the batch: the records that statistics.wgsl left, merged.
@group(0) @binding(12) var<storage, read_write> records: array<u32>;
alias Found = Moments;

fn collect(group: u32, place: Place, lane: u32) -> Found { return merge(group, place, lane); }

fn statistics_of(found: Found) -> Statistics {
    let count = real_count(found);
    return Statistics(Pair(found.mean_hi, found.mean_lo), found.m2 / max(count, 1.0), count);
}
