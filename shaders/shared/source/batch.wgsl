// The statistics of the batch: the records that statistics.wgsl left, merged.
@group(0) @binding(12) var<storage, read_write> records: array<u32>;

struct Statistics { mean: Pair, variance: f32 }

fn collect(place: Place, lane: u32) -> Statistics {
    var moments = identity();
    for (var split = place.row; split < params.splits; split += ROWS) {
        moments = combine(moments, load(split, min(place.channel, params.all_channels - 1u)));
    }
    let total = reduce(moments, lane);
    return Statistics(Pair(total.mean_hi, total.mean_lo), total.m2 / f32(max(total.count, 1u)));
}
