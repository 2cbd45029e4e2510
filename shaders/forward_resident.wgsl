// forward_resident: all steps of a forward pass in one dispatch; a workgroup has all values of its channels.
// x, y, residual: the part's vectors; saved: planes, as finalize leaves them. Dispatch: one workgroup for
// COLUMNS lane channels and one group.
fn run(place: Place, lane: u32) {
    let kept = keep(place);
    let found = reduce_to_all(moments_of_kept(kept, place), lane);
    normalize_kept(kept, place, settle_statistics(place, found));
}
