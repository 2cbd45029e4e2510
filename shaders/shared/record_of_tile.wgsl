// The record that the tile of a reduction leaves.
fn record_of(place: Place) -> u32 {
    return (params.first_group + place.group) * params.splits + params.first_split + place.split;
}
