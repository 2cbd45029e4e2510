// The statistics of the batch.
alias Found = Moments;

fn statistics_of(found: Found) -> Statistics {
    let count = real_count(found);
    return Statistics(Pair(found.mean_hi, found.mean_lo), found.m2 / max(count, 1.0), count);
}
