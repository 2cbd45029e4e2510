// The two means that dx needs, as backward_finalize has left them.
fn means_of(place: Place) -> Means { return Means(held(MEAN_DY, place), held(SLOPE, place)); }
