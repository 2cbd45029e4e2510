// Merges the records of one group and channel: each lane of a column takes some, reduce() the rest. The
// result is valid in row 0.
fn merge(group: u32, place: Place, lane: u32) -> Record {
    let splits = select(params.splits, params.last_splits, group + 1u == params.all_groups);
    var merged = identity();
    for (var split = place.row; split < splits; split += ROWS) {
        merged = combine(merged, load(group * params.splits + split, place.plane_channel));
    }
    if (GROUPS > 1u) { settle(); }
    return reduce(merged, lane);
}
