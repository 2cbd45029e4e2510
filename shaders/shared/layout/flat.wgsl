// Two 16-bit elements a word where rows are odd, so that a word may hold the end of one row and the start
// of the next: a lane takes whole words, whatever rows they belong to, so that each word has one writer.
// For kernels that write; with row_length = S, or 1 if the channels come last, element e counted from the
// first one of a sample lies in channel ⌊e / row_length⌋ mod C.
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
    let element = vec2<u32>(params.base + 2u * index) + vec2<u32>(0u, 1u);
    let row = element / vec2<u32>(params.row_length);
    let outer = row / vec2<u32>(params.all_channels);
    let column = element - row * vec2<u32>(params.row_length);
    // The word after the last element of an odd number of them may belong to no group.
    let group = min(
        (outer + vec2<u32>(params.first_outer)) / vec2<u32>(params.group_length),
        vec2<u32>(params.groups - 1u),
    );
    let position = vec2<u32>(params.mask_base) + outer * vec2<u32>(params.row_length) + column;
    return Cursor(index, row - outer * vec2<u32>(params.all_channels), group, position);
}

fn seek(place: Place) -> Cursor { return cursor_at(place.position); }
fn advance(cursor: Cursor) -> Cursor { return cursor_at(cursor.index + ROWS); }
fn or_first(cursor: Cursor, exists: bool) -> Cursor { return cursor_at(select(0u, cursor.index, exists)); }
