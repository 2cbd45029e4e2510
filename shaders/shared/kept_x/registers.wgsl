// x is read once, and kept in registers as it is stored.
alias KeptX = array<Stored, UNROLL>;

fn keep(place: Place) -> KeptX {
    var kept: KeptX;
    var cursor = seek(place);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        kept[k] = load_x(or_first(cursor, k < place.loads).index);
        cursor = advance(cursor);
    }
    return kept;
}

fn moments_of_kept(kept: KeptX, place: Place) -> Moments {
    var values: array<Vector, UNROLL>;
    var seen: array<Seen, UNROLL>;
    var cursor = seek(place);
    for (var k = 0u; k < UNROLL; k++) { // unroll
        let here = or_first(cursor, k < place.loads);
        values[k] = enter(unpack(kept[k], here.index));
        seen[k] = seen_at(here, k < place.loads);
        cursor = advance(cursor);
    }
    return moments_of_block(values, seen, place.loads);
}

fn normalize_kept(kept: KeptX, place: Place, a: Affine) {
    var cursor = seek(again(place));
    for (var k = 0u; k < UNROLL; k++) { // unroll
        if (k < place.loads) {
            let residual = read_residual(cursor.index);
            normalize_load(unpack(kept[k], cursor.index), residual, a, cursor);
        }
        cursor = advance(cursor);
    }
}
