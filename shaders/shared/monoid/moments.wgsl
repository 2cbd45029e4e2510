// Moments {count, mean, M2} of some values: M2 is the sum of their squared distances from the mean.
// The mean is mean_hi + mean_lo: with one f32 the merged M2 loses its digits where mean/σ is large.
struct Moments { count: u32, mean_hi: Channel, mean_lo: Channel, m2: Channel }
alias Record = Moments;
const FIELDS = 4u;

fn identity() -> Moments {
    return Moments(0u, Channel(0.0), Channel(0.0), Channel(0.0));
}

// Chan, Golub and LeVeque (1979); nothing cancels, since every term of M2 is positive.
fn combine(a: Moments, b: Moments) -> Moments {
    var lost = Channel(0.0);
    return combine_keeping(a, b, &lost);
}

// The same, and what rounding takes from M2 is added to `lost`: a lane that merges hundreds of blocks
// loses the same digits as its neighbours where the data repeat, so no later merge averages it out.
fn combine_keeping(a: Moments, b: Moments, lost: ptr<function, Channel>) -> Moments {
    let count = a.count + b.count;
    let share = f32(b.count) / f32(max(count, 1u));
    let delta = opaque(b.mean_hi - a.mean_hi) + opaque(b.mean_lo - a.mean_lo);
    let mean = two_sum(a.mean_hi, a.mean_lo + delta * share);
    let sum = two_sum(a.m2, b.m2 + delta * delta * (share * f32(a.count)));
    let m2 = sum.hi;
    *lost += select(sum.lo, Channel(0.0), a.count == 0u || b.count == 0u);
    // An empty side has no mean to merge; taking the other as it is also keeps its mean_lo whole.
    return Moments(
        count,
        select(select(mean.hi, b.mean_hi, a.count == 0u), a.mean_hi, b.count == 0u),
        select(select(mean.lo, b.mean_lo, a.count == 0u), a.mean_lo, b.count == 0u),
        select(select(m2, b.m2, a.count == 0u), a.m2, b.count == 0u),
    );
}

fn store(split: u32, channel: u32, record: Moments) {
    records[word_of(split, 0u, channel)] = Bits(record.count);
    records[word_of(split, 1u, channel)] = bitcast<Bits>(record.mean_hi);
    records[word_of(split, 2u, channel)] = bitcast<Bits>(record.mean_lo);
    records[word_of(split, 3u, channel)] = bitcast<Bits>(record.m2);
}
