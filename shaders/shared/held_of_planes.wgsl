// What a lane reads of the planes.
fn held(field: u32, place: Place) -> Held {
    return item(params.first_group + place.group, field, place.plane_channel);
}
