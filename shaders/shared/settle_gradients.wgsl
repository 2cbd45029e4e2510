// What backward_finalize does, in the kernels that go on to write dx: every lane comes to the same means, and
// one of them writes dγ and dβ.
fn settle_gradients(place: Place, sums: GradSums) -> Means {
    if (place.exists && place.row == 0u && place.split == 0u) {
        put_dbias(place.plane_channel, sums.dy.hi + sums.dy.lo);
        put_dweight(place.plane_channel, sums.dy_x_hat.hi + sums.dy_x_hat.lo);
    }
    let means = means_of_sums(sums, held(COUNT, place), held(INV_STD, place));
    return Means(means.mean_dy, means.slope);
}
