// Channels first in rows that are no whole number of vectors, so that a vector may lie across two rows. A lane takes
// the vectors that begin in its channel's rows, the last one of each perhaps with elements of the next row.
// Element = base + sample · sample_stride + channel · row_elements + its place in the row.

// first: of the channel's elements in sample 0; column: vectors that begin in the row before this one.
fn cursor_at(first: u32, sample: u32, column: u32) -> Cursor {
    let row = first + sample * params.sample_stride;
    return Cursor((row + (WIDTH - 1u)) / WIDTH + column, first, sample, column);
}

// The place of the vector's first element in the row.
fn place_in_row(cursor: Cursor) -> u32 {
    return WIDTH * cursor.index - (cursor.first + cursor.sample * params.sample_stride);
}

// Some rows have one such vector fewer than the others.
fn begins_in_row(cursor: Cursor) -> bool { return place_in_row(cursor) < params.row_elements; }

// Elsewhere than in the first row, which has as many as any, the first vector does not begin there.
fn or_first(cursor: Cursor, exists: bool) -> Cursor {
    var other = cursor;
    other.index = select(0u, cursor.index, exists && begins_in_row(cursor));
    return other;
}

// A channel's coefficient, and the one of the channel whose row is the next.
alias Channel = vec2<f32>;
alias Held = f32;
const LANE_CHANNELS = 1u;

fn spread_at(c: Channel, here: Cursor) -> Vector {
    let places = OFFSETS + place_in_row(here);
    return select(Vector(c.x), Vector(c.y), places >= VectorBits(params.row_elements));
}
