// backward_apply: dx from dy (and x), by the formula of the slot dx/; dresidual on the way.
// dy, x, residual, dx, dresidual: the part's vectors; coefficients: planes of backward_finalize.
// Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    let a = affine_of(place);
    let means = means_of(place);
    var cursor = seek(place);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        let loaded = load_block(&cursor, loads);
        for (var k = 0u; k < UNROLL; k++) { // unroll
            if (k < loads) {
                let here = loaded[k].here;
                let seen = seen_at(here, true);
                let back = take_back(loaded[k], a);
                let gradient = input_gradient(back.dy, back.centered, a.scale, means, here);
                write_dresidual(here.index, show(back.dy, seen));
                write(here.index, show(gradient_of_input(gradient, loaded[k].x), seen));
            }
        }
    }
}
