// forward_pipelined: normalizes one run of channels and takes the statistics of the next one, side by side,
// so that what is normalized was read a moment ago and is still in the cache.
// x, y, residual: the part's vectors; saved: planes, as finalize leaves them; records: planes of C, see
// records.wgsl. Dispatch: one workgroup a tile of either run.
fn run_first(place: Place, lane: u32) {
    leave_records(moments_of_tile(place), place, lane);
}

fn run_second(place: Place, lane: u32) {
    normalize_tile(place, array<Affine, STRIPS>(settle_statistics(place, merge_alone(place))));
}
