// Channels first: a vector holds values of one channel, whose rows lie sample_stride apart.
// Vector index = base + sample · sample_stride + channel · row_length + column.
struct Cursor { index: u32, column: u32, position: u32 }

fn seek(place: Place) -> Cursor {
    let sample = quotient(place.position, params.row_length, params.inverse_row_length);
    let column = place.position - sample * params.row_length;
    let row = sample * params.sample_stride + place.channel * params.row_length;
    let start = params.base + place.group * params.group_stride;
    return Cursor(start + row + column, column, params.mask_base + place.group * params.positions + place.position);
}

// ROWS positions further: the host has divided, so all that is left is one wrap at the row's end.
fn advance(cursor: Cursor) -> Cursor {
    let wraps = cursor.column >= params.wrap_from;
    return Cursor(
        cursor.index + select(params.step_index, params.wrap_index, wraps),
        cursor.column + select(params.step_column, params.wrap_column, wraps),
        cursor.position + ROWS,
    );
}

fn or_first(cursor: Cursor, exists: bool) -> Cursor {
    return Cursor(select(0u, cursor.index, exists), cursor.column, select(0u, cursor.position, exists));
}
