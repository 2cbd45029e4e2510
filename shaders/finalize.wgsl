// finalize: the records of each channel and group (or held statistics) → what the slot outcome/ makes of
// them: mean, variance and 1/σ, the folded form, or one merged record. Dispatch: COLUMNS channels a workgroup.
fn run(place: Place, lane: u32) {
    for (var i = 0u; i < GROUPS; i++) { // unroll if one
        let group = params.first_group + i;
        let found = collect(group, place, lane);
        if (place.exists && place.row == 0u) {
            conclude(group, place.channel, found);
        }
    }
}
