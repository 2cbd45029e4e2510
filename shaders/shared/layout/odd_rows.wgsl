// Channels first with 16-bit elements and rows that a word may lie across: a row begins in the middle of a word if
// the elements before it are odd in number. A lane takes words of its channel's rows, of the first and the last
// one perhaps just a half. Element = base + sample · sample_stride + channel · row_elements + its place in the row.
struct Cursor { index: u32, first: u32, sample: u32, column: u32 }

// first: of the channel's elements in sample 0; column: words of the row before this one.
fn cursor_at(first: u32, sample: u32, column: u32) -> Cursor {
    return Cursor(((first + sample * params.sample_stride) >> 1u) + column, first, sample, column);
}

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

// The places of both halves in the row; those of another row are beyond its end.
fn places(cursor: Cursor) -> vec2<u32> {
    let parity = (cursor.first + cursor.sample * params.sample_stride) & 1u;
    return vec2<u32>(0u, 1u) + (2u * cursor.column - parity);
}

fn inside(cursor: Cursor) -> vec2<bool> {
    return places(cursor) < vec2<u32>(params.part_row_elements);
}

fn or_first(cursor: Cursor, exists: bool) -> Cursor {
    var other = cursor;
    other.index = select(0u, cursor.index, exists && any(inside(cursor)));
    return other;
}
