// backward_pipelined: writes dx of one run of channels and takes the sums of the next one, side by side, so
// that what is read again was read a moment ago and is still in the cache.
// x, dy, residual, dx, dresidual: the part's vectors; saved: planes of finalize; records: planes of C, see
// records.wgsl. Dispatch: one workgroup a tile of either run.
fn run_first(place: Place, lane: u32) {
    leave_records(sums_of_tile(place, affines_of(place), inv_stds_of(place)), place, lane);
}

fn run_second(place: Place, lane: u32) {
    let means = settle_gradients(place, merge_alone(place));
    apply_tile(place, affines_of(place), array<Means, STRIPS>(means));
}
