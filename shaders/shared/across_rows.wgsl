// How a lane goes over the vectors of its channel's rows where a vector may lie across two: layout/odd_rows.wgsl and
// layout/straddling_rows.wgsl say which vectors are a row's, by cursor_at.
// first: of the channel's elements in sample 0; column: vectors of the row before this one.
struct Cursor { index: u32, first: u32, sample: u32, column: u32 }

fn seek(place: Place) -> Cursor {
    let sample = quotient(place.position, params.row_length, params.inverse_row_length);
    let first = params.base + place.channel * params.row_elements;
    return cursor_at(first, place.group * params.group_length + sample, place.position - sample * params.row_length);
}

fn advance(cursor: Cursor) -> Cursor {
    let wraps = cursor.column >= params.wrap_from;
    return cursor_at(
        cursor.first,
        cursor.sample + params.step_samples + select(0u, 1u, wraps),
        cursor.column + select(params.step_column, params.wrap_column, wraps),
    );
}
