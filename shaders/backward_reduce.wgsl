// backward_reduce: x, dy → one GradSums {Σdy, Σdy·x̂} record for each (channel, group, split); dy is taken
// back through the activation first.
// x, dy, residual: the part's vectors; saved: planes of finalize; records: planes of C, see records.wgsl.
// Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    leave_records(sums_of_tile(place, affines_of(place), inv_stds_of(place)), place, lane);
}
