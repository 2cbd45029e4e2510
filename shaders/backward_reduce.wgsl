// backward_reduce: x, dy → one GradSums {Σdy, Σdy·x̂} record for each (channel, group, split); dy is taken
// back through the activation first.
// x, dy, residual: the part's vectors; saved: planes of finalize; records: planes of C, see records.wgsl.
// Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    leave_record(sums_of_tile(place, affine_of(place), held(INV_STD, place)), place, lane);
}
