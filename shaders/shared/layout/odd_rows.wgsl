// Channels first in rows that are no whole number of vectors, so that a vector may lie across two rows. A lane takes
// the vectors of its channel's rows, of the first and the last one perhaps just a part.
// Element = base + sample · sample_stride + channel · row_elements + its place in the row.
struct Cursor { index: u32, first: u32, sample: u32, column: u32 }

// first: of the channel's elements in sample 0; column: vectors of the row before this one.
fn cursor_at(first: u32, sample: u32, column: u32) -> Cursor {
    return Cursor((first + sample * params.sample_stride) / WIDTH + column, first, sample, column);
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

// The places of the elements in the row; those of another row are beyond its end.
fn places(cursor: Cursor) -> VectorBits {
    let before = (cursor.first + cursor.sample * params.sample_stride) % WIDTH;
    return OFFSETS + (WIDTH * cursor.column - before);
}

fn inside(cursor: Cursor) -> VectorBool {
    return places(cursor) < VectorBits(params.part_row_elements);
}

fn or_first(cursor: Cursor, exists: bool) -> Cursor {
    var other = cursor;
    other.index = select(0u, cursor.index, exists && any(inside(cursor)));
    return other;
}
