// finalize: the records of each channel and group (or held statistics) → what the slot outcome/ makes of
// them: mean, variance and 1/σ, the folded form, or one merged record. Dispatch: COLUMNS channels a workgroup.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    for (var group = 0u; group < params.groups; group++) {
        let found = collect(group, place, lane);
        if (place.exists && place.row == 0u) {
            conclude(group, place.channel, found);
        }
    }
}
