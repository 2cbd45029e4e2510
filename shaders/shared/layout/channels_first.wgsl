// Channels first: a vector holds values of one channel, whose rows lie sample_stride apart.
// Vector index = base + sample · sample_stride + channel · row_length + column.
alias Channel = f32;
alias Bits = u32;
const LANE_CHANNELS = 1u;
const LANE_VALUES = WIDTH;

fn gather(v: Vector) -> Channel { return sum_of(v); }
fn spread(c: Channel) -> Vector { return Vector(c); }
fn pivot(v: Vector) -> Channel { return first_of(v); }

struct Cursor { index: u32, column: u32 }

fn seek(channel: u32, position: u32) -> Cursor {
    let sample = position / params.row_length;
    let column = position - sample * params.row_length;
    return Cursor(params.base + sample * params.sample_stride + channel * params.row_length + column, column);
}

// ROWS positions further: the host has divided, so all that is left is one wrap at the row's end.
fn advance(cursor: Cursor) -> Cursor {
    let column = cursor.column + params.step_column;
    let index = cursor.index + params.step_index;
    let wraps = column >= params.row_length;
    return Cursor(
        select(index, index + (params.sample_stride - params.row_length), wraps),
        select(column, column - params.row_length, wraps),
    );
}
