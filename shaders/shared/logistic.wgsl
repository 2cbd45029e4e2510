// 1/(1 + exp(−v)); where exp overflows to infinity, the result is 0.
fn logistic(v: Vector) -> Vector { return 1.0 / (1.0 + exp(-v)); }

// The same and what it lacks to 1, both with all their digits.
struct LogisticPair { value: Vector, rest: Vector }

fn logistic_pair(v: Vector) -> LogisticPair {
    let small = exp(-abs(v));
    let upper = 1.0 / (1.0 + small);
    let lower = small * upper;
    let is_negative = v < Vector(0.0);
    return LogisticPair(select(upper, lower, is_negative), select(lower, upper, is_negative));
}
