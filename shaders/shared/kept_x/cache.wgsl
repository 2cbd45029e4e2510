// x is read twice by the same workgroup: what it read first is in the cache nearest to it.
alias KeptX = bool;
fn keep(place: Place) -> KeptX { return false; }
fn moments_of_kept(kept: KeptX, place: Place) -> Moments { return moments_of_tile(place)[0u]; }
fn normalize_kept(kept: KeptX, place: Place, a: Affine) { normalize_tile(place, array<Affine, STRIPS>(a)); }
