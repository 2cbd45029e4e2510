// A batch is taken in if the statistics of all its channels are finite: each workgroup looks at all of them.
var<workgroup> refused: atomic<u32>;

fn is_finite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u; }

fn is_accepted(group: u32, lane: u32) -> bool {
    if (lane == 0u) { atomicStore(&refused, 0u); }
    workgroupBarrier();
    var finite = true;
    for (var channel = lane; channel < params.all_channels; channel += WORKGROUP) {
        finite = finite && is_finite(saved[plane(group, MEAN_HI, channel)]) && is_finite(saved[plane(group, VARIANCE, channel)]);
    }
    if (!finite) { atomicOr(&refused, 1u); }
    workgroupBarrier();
    let accepted = atomicLoad(&refused) == 0u;
    workgroupBarrier();
    return accepted;
}
