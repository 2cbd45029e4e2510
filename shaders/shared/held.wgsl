// A lane stays with its channels, so it reads what it needs of them once and keeps it.
alias Held = Channel;
alias PlaneItem = Channel;
fn held(field: u32, place: Place) -> Held {
    return item(params.first_group + place.group, field, place.plane_channel);
}
fn at(h: Held, cursor: Cursor) -> Vector { return spread(h); }
