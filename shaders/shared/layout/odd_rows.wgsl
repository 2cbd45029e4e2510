// Channels first in rows that are no whole number of vectors, so that a vector may lie across two rows. A lane takes
// the vectors of its channel's rows, of the first and the last one perhaps just a part.
// Element = base + sample · sample_stride + channel · row_elements + its place in the row.

// first: of the channel's elements in sample 0; column: vectors of the row before this one.
fn cursor_at(first: u32, sample: u32, column: u32) -> Cursor {
    return Cursor((first + sample * params.sample_stride) / WIDTH + column, first, sample, column);
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
