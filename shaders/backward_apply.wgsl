// backward_apply: dx from dy (and x), by the formula of the slot dx/; dresidual on the way.
// dy, x, residual, dx, dresidual: the part's vectors; coefficients: planes of backward_finalize.
// Dispatch: one workgroup a tile.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (channel_tile_of(workgroup) >= params.channel_tiles) { return; }
    let place = place_of(workgroup, lane);
    let a = affine_of(place);
    let means = means_of(place);
    var cursor = seek(place);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        var here: array<Cursor, UNROLL>;
        var xs: array<Vector, UNROLL>;
        var dys: array<Vector, UNROLL>;
        var residuals: array<Residual, UNROLL>;
        for (var k = 0u; k < UNROLL; k++) { // unroll
            here[k] = or_first(cursor, k < loads);
            xs[k] = read_x(here[k].index);
            dys[k] = read_dy(here[k].index);
            residuals[k] = read_residual(here[k].index);
            cursor = advance(cursor);
        }
        for (var k = 0u; k < UNROLL; k++) { // unroll
            if (k < loads) {
                let i = here[k].index;
                let seen = seen_at(here[k], true);
                let centered = center(enter(xs[k]), a, here[k]);
                let z = add_residual(affine(centered, a, here[k]), residuals[k]);
                let g = gradient_of_output(dys[k], z);
                let dx_of_input = input_gradient(g, centered, a.scale, means, here[k]);
                write_dresidual(i, show(g, seen));
                write(i, show(gradient_of_input(dx_of_input, xs[k]), seen));
            }
        }
    }
}
