// backward_resident: all steps of a backward pass in one dispatch; a workgroup has all values of its channels.
// x, dy, residual, dx, dresidual: the part's vectors; saved: planes of finalize. Dispatch: one workgroup for
// COLUMNS lane channels and one group.
fn run(place: Place, lane: u32) {
    let a = affine_of(place);
    let kept = keep(place);
    let sums = reduce_to_all(sums_of_kept(kept, place, a, held(INV_STD, place)), lane);
    keep_record(sums, place);
    apply_kept(kept, place, a, settle_gradients(place, sums));
}
