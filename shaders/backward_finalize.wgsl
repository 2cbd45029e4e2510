// backward_finalize: the GradSums of each channel and group → what the slot gradient_outcome/ makes of
// them: dγ = Σdy·x̂, dβ = Σdy and the coefficients of backward_apply, or one merged record.
// records: planes of C, see records.wgsl. Dispatch: COLUMNS channels a workgroup.
@group(0) @binding(12) var<storage, read_write> records: array<u32>;

fn run(place: Place, lane: u32) {
    var total = identity();
    for (var i = 0u; i < GROUPS; i++) { // unroll if one
        let group = params.first_group + i;
        let sums = collect_sums(group, place, lane);
        total = combine(total, sums);
        if (place.exists && place.row == 0u) {
            conclude_group(group, place.channel, sums);
        }
    }
    if (place.exists && place.row == 0u) {
        conclude(place.channel, total);
    }
}
