// What a lane reads of the planes where its vectors may have elements of the next row: for both rows, once.
fn held(field: u32, place: Place) -> Channel {
    let channel = place.plane_channel;
    let next = select(channel + 1u, 0u, channel + 1u == params.all_channels);
    let group = params.first_group + place.group;
    return Channel(item(group, field, channel), item(group, field, next));
}
