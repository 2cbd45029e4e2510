// What a lane reads of the planes: it stays with its channels, so it gets what it needs of them once and keeps it.
fn held(field: u32, place: Place) -> Channel {
    return item(params.first_group + place.group, field, place.plane_channel);
}
