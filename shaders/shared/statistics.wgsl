// What normalizes a channel; the variance is the biased one.
struct Statistics { mean: Pair, variance: Channel, count: f32 }
