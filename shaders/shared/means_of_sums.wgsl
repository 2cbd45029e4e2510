// mean(dy) and mean(dy·x̂)/σ, the two numbers that dx needs of a channel.
struct MeansOfSums { mean_dy: Channel, slope: Channel }

fn means_of_sums(sums: GradSums, count: Channel, inv_std: Channel) -> MeansOfSums {
    let values = max(count, Channel(1.0));
    return MeansOfSums((sums.dy.hi + sums.dy.lo) / values, (sums.dy_x_hat.hi + sums.dy_x_hat.lo) / values * inv_std);
}
