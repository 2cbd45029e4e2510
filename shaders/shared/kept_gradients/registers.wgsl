// x and dy (and the residual, if the gradient depends on it) are read once, and kept in registers as they
// are stored.
struct KeptLoad { x: Stored, dy: Stored, residual: StoredResidual }
alias KeptLoads = array<KeptLoad, UNROLL>;

fn keep(place: Place) -> KeptLoads {
    var kept: KeptLoads;
    var cursor = seek(place);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        let i = or_first(cursor, k < place.loads).index;
        kept[k] = KeptLoad(load_x(i), load_dy(i), load_residual(i));
        cursor = advance(cursor);
    }
    return kept;
}

fn loaded_of(kept: KeptLoad, here: Cursor) -> Loaded {
    let i = here.index;
    return Loaded(here, unpack(kept.x, i), unpack(kept.dy, i), unpack_residual(kept.residual, i));
}

fn sums_of_kept(kept: KeptLoads, place: Place, a: Affine, inv_std: Channel) -> GradSums {
    var loaded: array<Loaded, UNROLL>;
    var cursor = seek(place);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        loaded[k] = loaded_of(kept[k], or_first(cursor, k < place.loads));
        cursor = advance(cursor);
    }
    return sums_of_block(loaded, place.loads, a, inv_std);
}

fn apply_kept(kept: KeptLoads, place: Place, a: Affine, means: Means) {
    var cursor = seek(again(place));
    for (var k = 0u; k < UNROLL; k++) { // unroll
        if (k < place.loads) {
            apply_load(loaded_of(kept[k], cursor), a, means);
        }
        cursor = advance(cursor);
    }
}
