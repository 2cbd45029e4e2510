// All is read twice by the same workgroup: what it read first is in the cache nearest to it.
alias KeptLoads = bool;
fn keep(place: Place) -> KeptLoads { return false; }
fn sums_of_kept(kept: KeptLoads, place: Place, a: Affine, inv_std: Channel) -> GradSums {
    return sums_of_tile(place, array<Affine, STRIPS>(a), array<Channel, STRIPS>(inv_std))[0u];
}
fn apply_kept(kept: KeptLoads, place: Place, a: Affine, means: Means) {
    apply_tile(place, array<Affine, STRIPS>(a), array<Means, STRIPS>(means));
}
