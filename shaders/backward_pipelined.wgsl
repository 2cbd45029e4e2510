// backward_pipelined: writes dx of one run of channels and takes the sums of the next one, side by side, so
// that what is read again was read a moment ago and is still in the cache.
// x, dy, residual, dx, dresidual: the part's vectors; saved: planes of finalize; records: planes of C, see
// records.wgsl. Dispatch: one workgroup a tile of either run.
fn run_first(place: Place, lane: u32) {
    leave_record(sums_of_tile(place, affine_of(place), held(INV_STD, place)), place, lane);
}

fn run_second(place: Place, lane: u32) {
    apply_tile(place, affine_of(place), settle_gradients(place, merge_alone(place)));
}
