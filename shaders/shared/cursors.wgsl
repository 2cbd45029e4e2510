// Where a lane begins in each of its strips.
fn cursors_of(place: Place) -> array<Cursor, STRIPS> {
    var cursors: array<Cursor, STRIPS>;
    for (var strip = 0u; strip < STRIPS; strip++) { // unroll
        cursors[strip] = seek(strip_of(place, strip));
    }
    return cursors;
}
