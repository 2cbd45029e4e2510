// Two 16-bit elements a word where rows are odd, so that a word may hold the end of one row and the start
// of the next: a lane takes whole words, whatever rows they belong to, so that each word has one writer.
// For kernels that write. With row_length = S, or 1 if the channels come last, element e counted from the
// first one of a sample lies in row ⌊e / row_length⌋, whose channel is its remainder by C.
struct Cursor { index: u32, channel: vec2<u32>, group: vec2<u32>, position: vec2<u32> }

// What a lane keeps of an array per channel is its place: the channel differs from load to load.
alias Held = u32;
alias PlaneItem = f32;
const LANE_CHANNELS = 1u;
fn held(field: u32, place: Place) -> Held { return field; }
fn at(field: Held, cursor: Cursor) -> Vector {
    return Vector(item(cursor.group.x, field, cursor.channel.x), item(cursor.group.y, field, cursor.channel.y));
}

fn cursor_at(index: u32) -> Cursor {
    // base: elements from the sample's first one to the binding's first one.
    let element = params.base + 2u * index;
    let row = quotient(element, params.row_length, params.inverse_row_length);
    let outer = quotient(row, params.all_channels, params.inverse_channels);
    let column = element - row * params.row_length;
    let channel = row - outer * params.all_channels;
    // The second element is in the same row, or the first one of the next, or of the next sample.
    let wraps = column + 1u == params.row_length;
    let ends = wraps && channel + 1u == params.all_channels;
    let next_outer = select(outer, outer + 1u, ends);
    let next_column = select(column + 1u, 0u, wraps);
    let next_channel = select(select(channel, channel + 1u, wraps), 0u, ends);
    return Cursor(
        index,
        vec2<u32>(channel, next_channel),
        vec2<u32>(group_of_outer(outer), group_of_outer(next_outer)),
        params.mask_base + vec2<u32>(outer, next_outer) * params.row_length + vec2<u32>(column, next_column),
    );
}

fn seek(place: Place) -> Cursor { return cursor_at(place.position); }
fn advance(cursor: Cursor) -> Cursor { return cursor_at(cursor.index + ROWS); }
fn or_first(cursor: Cursor, exists: bool) -> Cursor { return cursor_at(select(0u, cursor.index, exists)); }
