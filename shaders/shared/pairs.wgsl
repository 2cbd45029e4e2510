// Sums as pairs, so that merging many records adds no error: gradients cancel, and what is left of a sum
// may be small against what it is made of.
fn add_pairs(a: Pair, b: Pair) -> Pair {
    let sum = two_sum(a.hi, b.hi);
    return Pair(sum.hi, sum.lo + (a.lo + b.lo));
}

fn pair_of(c: Channel) -> Pair { return Pair(c, Channel(0.0)); }
