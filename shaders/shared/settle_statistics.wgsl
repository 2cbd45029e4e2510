// What finalize and running_stats do, in the kernels that go on to normalize: every lane comes to the same
// conclusion about its channels, and one of them leaves it for the backward pass.
fn settle_statistics(place: Place, found: Found) -> Affine {
    let channel = place.plane_channel;
    let conclusion = conclusion_of(found, channel);
    let statistics = conclusion.statistics;
    if (place.exists && place.row == 0u && place.split == 0u) {
        save(params.first_group + place.group, channel, conclusion);
        settle_running(channel, statistics);
    }
    return Affine(statistics.mean.hi, statistics.mean.lo, conclusion.scale, conclusion.offset);
}
