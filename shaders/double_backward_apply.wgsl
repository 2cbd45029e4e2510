// double_backward_apply: the gradients of dy and x from the cotangent ddx of dx, by the formulas of the
// slot second_order/. x, dy, ddx, grad_dy, grad_x: the part's vectors; coefficients: planes of
// double_backward_finalize. Dispatch: one workgroup a tile.
fn run(place: Place, lane: u32) {
    let a = affine_of(place);
    let inv_std_held = held(INV_STD, place);
    let means = second_held_of(place);
    var cursor = seek(place);
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        for (var k = 0u; k < UNROLL; k++) { // unroll
            if (k < loads) {
                let here = or_first(cursor, true);
                let i = here.index;
                let seen = seen_at(here, true);
                let inv_std = spread_at(inv_std_held, here);
                let scale = spread_at(a.scale, here);
                let x_hat = center(read_x(i), a, here) * inv_std;
                let second = second_order(x_hat, read_dy(i), read_ddx(i), scale, inv_std, means, here);
                store_grad_dy(here, show(second.dy, seen));
                store_grad_x(here, show(second.x, seen));
            }
            cursor = advance(cursor);
        }
    }
}
