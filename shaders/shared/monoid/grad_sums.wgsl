// GradSums {Σdy, Σdy·x̂} over some positions. Each is a pair, so that merging many records adds no
// error: gradients cancel, and dβ may be small against the sums it is made of.
struct GradSums { dy: Pair, dy_x_hat: Pair }
alias Record = GradSums;
const FIELDS = 4u;

fn identity() -> GradSums {
    let zero = Pair(Channel(0.0), Channel(0.0));
    return GradSums(zero, zero);
}

fn combine(a: GradSums, b: GradSums) -> GradSums {
    return GradSums(add_pairs(a.dy, b.dy), add_pairs(a.dy_x_hat, b.dy_x_hat));
}

fn add_pairs(a: Pair, b: Pair) -> Pair {
    let sum = two_sum(a.hi, b.hi);
    return Pair(sum.hi, sum.lo + (a.lo + b.lo));
}

fn store(split: u32, channel: u32, record: GradSums) {
    records[word_of(split, 0u, channel)] = bitcast<Bits>(record.dy.hi);
    records[word_of(split, 1u, channel)] = bitcast<Bits>(record.dy.lo);
    records[word_of(split, 2u, channel)] = bitcast<Bits>(record.dy_x_hat.hi);
    records[word_of(split, 3u, channel)] = bitcast<Bits>(record.dy_x_hat.lo);
}
