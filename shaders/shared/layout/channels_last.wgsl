// Channels last: a vector holds one value of each of WIDTH channels; positions lie row_length apart.
// Vector index = base + position · row_length + channel.
alias Channel = Vector;
alias Held = Vector;
alias Bits = VectorBits;
alias MaskBits = u32;
alias Shown = bool;
const LANE_CHANNELS = WIDTH;
const LANE_VALUES = 1u;

fn first_bits(bits: Bits) -> u32 { return first_bits_of(bits); }
fn gather(v: Vector) -> Channel { return v; }
fn spread(c: Channel) -> Vector { return c; }
fn spread_at(c: Channel, here: Cursor) -> Vector { return c; }
fn pivot(v: Vector) -> Channel { return v; }
fn shown_pivot(v: Vector, shown: Shown) -> Channel { return v; }
fn count_shown(shown: Shown) -> u32 { return select(0u, 1u, shown); }

struct Cursor { index: u32, position: u32 }

fn seek(place: Place) -> Cursor {
    let start = params.base + place.group * params.group_stride;
    return Cursor(
        start + place.position * params.row_length + place.channel,
        params.mask_base + place.group * params.positions + place.position,
    );
}

fn advance(cursor: Cursor) -> Cursor {
    return Cursor(cursor.index + params.step_index, cursor.position + ROWS);
}

fn or_first(cursor: Cursor, exists: bool) -> Cursor {
    return Cursor(select(0u, cursor.index, exists), select(0u, cursor.position, exists));
}
