// The record that the tile of a reduction leaves: those of the lanes of each column, merged.
// records: planes of C, see records.wgsl.
@group(0) @binding(12) var<storage, read_write> records: array<Bits>;

fn record_of(place: Place) -> u32 {
    return (params.first_group + place.group) * params.splits + params.first_split + place.split;
}

fn leave_record(mine: Record, place: Place, lane: u32) {
    let total = reduce(mine, lane);
    if (place.exists && place.row == 0u) {
        store(record_of(place), place.plane_channel, total);
    }
}
