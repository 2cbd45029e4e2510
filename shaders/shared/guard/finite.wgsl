// A batch is taken in if the statistics of all its channels are finite: each workgroup looks at all of them.
var<workgroup> refused: atomic<u32>;

fn is_finite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u; }

fn is_accepted(group: u32, lane: u32) -> bool {
    if (lane == 0u) { atomicStore(&refused, 0u); }
    workgroupBarrier();
    var finite = true;
    for (var first = lane; first < params.all_channels; first += 4u * WORKGROUP) {
        for (var k = 0u; k < 4u; k++) { // unroll
            let channel = min(first + k * WORKGROUP, params.all_channels - 1u);
            let mean = saved[plane(group, MEAN_HI, channel)];
            finite = finite && is_finite(mean) && is_finite(saved[plane(group, VARIANCE, channel)]);
        }
    }
    if (!finite) { atomicOr(&refused, 1u); }
    workgroupBarrier();
    let accepted = atomicLoad(&refused) == 0u;
    workgroupBarrier();
    return accepted;
}
