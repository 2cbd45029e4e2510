// What normalizes a channel; the variance is the biased one.
struct Statistics { mean: Pair, variance: f32, count: f32 }
