// The record that the tile of a reduction leaves: those of the lanes of each column, merged.
// records: planes of C, see records.wgsl.
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

fn record_of(place: Place) -> u32 {
    return (params.first_group + place.group) * params.splits + params.first_split + place.split;
}

fn leave_records(mine: array<Record, STRIPS>, place: Place, lane: u32) {
    for (var strip = 0u; strip < STRIPS; strip++) { // unroll
        leave_record(mine[strip], strip_of(place, strip), lane);
    }
}

fn leave_record(mine: Record, place: Place, lane: u32) {
    let total = reduce(mine, lane);
    if (place.exists && place.row == 0u) {
        store(record_of(place), place.plane_channel, total);
    }
}
