// The GradSums of what a lane has of a tile: of UNROLL loads at a time, merged.
fn sums_of_tile(
    place: Place, affines: array<Affine, STRIPS>, inv_stds: array<Channel, STRIPS>,
) -> array<GradSums, STRIPS> {
    var cursors = cursors_of(place);
    var sums: array<GradSums, STRIPS>;
    for (var strip = 0u; strip < STRIPS; strip++) { // unroll
        sums[strip] = identity();
    }
    for (var block = 0u; block < BLOCKS; block++) { // unroll if one
        let loads = loads_left(place.loads, block);
        for (var strip = 0u; strip < STRIPS; strip++) { // unroll
            var cursor = cursors[strip];
            let loaded = load_block(&cursor, loads);
            cursors[strip] = cursor;
            sums[strip] = combine(sums[strip], sums_of_block(loaded, loads, affines[strip], inv_stds[strip]));
        }
    }
    return sums;
}

// Of UNROLL loads, the first ones of which exist.
fn sums_of_block(loaded: array<Loaded, UNROLL>, loads: u32, a: Affine, inv_std: Channel) -> GradSums {
    var sum_dy = Vector(0.0);
    var sum_dy_x = Vector(0.0);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        let seen = seen_at(loaded[k].here, k < loads);
        let back = take_back(loaded[k], a);
        sum_dy += select(Vector(0.0), back.dy, seen);
        sum_dy_x += select(Vector(0.0), back.dy * back.centered, seen);
    }
    return GradSums(pair_of(gather(sum_dy)), pair_of(gather(sum_dy_x) * inv_std));
}
