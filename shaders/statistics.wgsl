// statistics: x → one Moments record for each (channel, group, split).
// x: the part's vectors; records: planes of C, see records.wgsl. Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    leave_records(moments_of_tile(place), place, lane);
}
