// The coefficients of a lane's channels, as the step before has left them.
fn affines_of(place: Place) -> array<Affine, STRIPS> {
    var affines: array<Affine, STRIPS>;
    for (var strip = 0u; strip < STRIPS; strip++) { // unroll
        affines[strip] = affine_of(strip_of(place, strip));
    }
    return affines;
}

fn inv_stds_of(place: Place) -> array<Channel, STRIPS> {
    var inv_stds: array<Channel, STRIPS>;
    for (var strip = 0u; strip < STRIPS; strip++) { // unroll
        inv_stds[strip] = held(INV_STD, strip_of(place, strip));
    }
    return inv_stds;
}

fn affine_of(place: Place) -> Affine {
    return Affine(held(MEAN_HI, place), held(MEAN_LO, place), held(SCALE, place), held(OFFSET, place));
}
