// Channels last: a vector holds one value of each of WIDTH channels; positions lie row_length apart.
// Vector index = base + position · row_length + channel.
alias Channel = Vector;
alias Bits = VectorBits;
const LANE_CHANNELS = WIDTH;
const LANE_VALUES = 1u;

fn gather(v: Vector) -> Channel { return v; }
fn spread(c: Channel) -> Vector { return c; }
fn pivot(v: Vector) -> Channel { return v; }

struct Cursor { index: u32 }

fn seek(channel: u32, position: u32) -> Cursor {
    return Cursor(params.base + position * params.row_length + channel);
}

fn advance(cursor: Cursor) -> Cursor {
    return Cursor(cursor.index + params.step_index);
}
