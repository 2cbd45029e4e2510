// Merges the records of a lane's group and channel. Each lane does it by itself, without a barrier: for few
// records that is the shortest way, and all lanes have the result.
fn merge_alone(place: Place) -> Record {
    let group = params.first_group + place.group;
    let splits = select(params.splits, params.last_splits, group + 1u == params.all_groups);
    var merged = identity();
    for (var split = 0u; split < splits; split++) {
        merged = combine(merged, load(group * params.splits + split, place.plane_channel));
    }
    return merged;
}
