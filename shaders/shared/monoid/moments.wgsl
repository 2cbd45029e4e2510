// Moments {count, mean, M2} of some values: M2 is the sum of their squared distances from the mean.
// The mean is mean_hi + mean_lo: with one f32 the merged M2 loses its digits where mean/σ is large.
// The count is carry · 2³² + count: replicas together have more values than one of them can count.
struct Moments { count: u32, carry: u32, mean_hi: Channel, mean_lo: Channel, m2: Channel }
alias Record = Moments;
const FIELDS = 5u;

fn identity() -> Moments {
    return Moments(0u, 0u, Channel(0.0), Channel(0.0), Channel(0.0));
}

fn real_count(moments: Moments) -> f32 {
    return f32(moments.carry) * 4294967296.0 + f32(moments.count);
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
    let carry = a.carry + b.carry + select(0u, 1u, count < a.count);
    let a_count = real_count(a);
    let b_count = real_count(b);
    let share = b_count / max(a_count + b_count, 1.0);
    let delta = opaque(b.mean_hi - a.mean_hi) + opaque(b.mean_lo - a.mean_lo);
    let mean = two_sum(a.mean_hi, a.mean_lo + delta * share);
    let sum = two_sum(a.m2, b.m2 + delta * delta * (share * a_count));
    let m2 = sum.hi;
    *lost += select(sum.lo, Channel(0.0), a_count == 0.0 || b_count == 0.0);
    // An empty side has no mean to merge; taking the other as it is also keeps its mean_lo whole.
    return Moments(
        count,
        carry,
        select(select(mean.hi, b.mean_hi, a_count == 0.0), a.mean_hi, b_count == 0.0),
        select(select(mean.lo, b.mean_lo, a_count == 0.0), a.mean_lo, b_count == 0.0),
        select(select(m2, b.m2, a_count == 0.0), a.m2, b_count == 0.0),
    );
}
