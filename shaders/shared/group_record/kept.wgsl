// The sums of each group stay, for the gradients of γ and β: those are sums over all groups.
fn keep_record(sums: GradSums, place: Place) {
    if (place.exists && place.row == 0u) {
        store(record_of(place), place.plane_channel, sums);
    }
}
