// Copies src to dst: straight-line code, as many bytes as possible in flight, nothing else. Its speed is
// the limit that the passes are measured by.
//
// Each invocation copies one vector, or four that lie a workgroup's width apart, so that the neighbours of
// an invocation always touch the neighbours of its vector. The host says what a Vector is. Grid: enough
// workgroups for src, in x and y.

override LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> src: array<Vector>;
@group(0) @binding(1) var<storage, read_write> dst: array<Vector>;

@compute @workgroup_size(LANES)
fn one(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * LANES + lane;
    if i < arrayLength(&src) {
        dst[i] = src[i];
    }
}

@compute @workgroup_size(LANES)
fn four(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * LANES * 4u + lane;
    if i + LANES * 3u < arrayLength(&src) {
        let a = src[i];
        let b = src[i + LANES];
        let c = src[i + LANES * 2u];
        let d = src[i + LANES * 3u];
        dst[i] = a;
        dst[i + LANES] = b;
        dst[i + LANES * 2u] = c;
        dst[i + LANES * 3u] = d;
    } else {
        // The last workgroup's.
        if i < arrayLength(&src) { dst[i] = src[i]; }
        if i + LANES < arrayLength(&src) { dst[i + LANES] = src[i + LANES]; }
        if i + LANES * 2u < arrayLength(&src) { dst[i + LANES * 2u] = src[i + LANES * 2u]; }
    }
}
