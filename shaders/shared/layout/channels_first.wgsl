// Channels first: a vector holds values of one channel, whose rows lie sample_stride apart.
// Vector index = base + sample · sample_stride + channel · row_length + column.
alias Channel = f32;
alias Bits = u32;
alias MaskBits = VectorBits;
alias Shown = VectorBool;
const LANE_CHANNELS = 1u;
const LANE_VALUES = WIDTH;

fn first_bits(bits: Bits) -> u32 { return bits; }
fn gather(v: Vector) -> Channel { return sum_of(v); }
fn spread(c: Channel) -> Vector { return Vector(c); }
fn pivot(v: Vector) -> Channel { return first_of(v); }
fn shown_pivot(v: Vector, shown: Shown) -> Channel { return first_shown_of(v, shown); }
fn count_shown(shown: Shown) -> u32 { return count_of(select(VectorBits(0u), VectorBits(1u), shown)); }

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
