// The half of a word that is the lane's element.
fn own_bits(here: Cursor) -> u32 { return 0xffffu << (16u * (here.index & 1u)); }
