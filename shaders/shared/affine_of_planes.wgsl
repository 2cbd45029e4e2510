// The coefficients of a lane's channels, as the step before has left them.
fn affine_of(place: Place) -> Affine {
    return Affine(held(MEAN_HI, place), held(MEAN_LO, place), held(SCALE, place), held(OFFSET, place));
}
