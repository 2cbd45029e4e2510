// The gradient comes through y: the records that backward_reduce.wgsl left, merged.
fn collect_sums(group: u32, place: Place, lane: u32) -> Record { return merge(group, place, lane); }
fn scale_of(scale: f32) -> f32 { return scale; }
